"""A policy that swings a pendulum up, by evolution strategies (Salimans et al. 2017)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from ..registry import register
from ..runtime.settings import Count, Positive, check
from ._base import TaskFamily
from ._on_mnist import dense, through
from .mnist import Layers

_GRAVITY, _INTERVAL, _TORQUE, _FASTEST = 10.0, 0.05, 2.0, 8.0


@register("pendulum")
@final
class Pendulum(TaskFamily):
    """The mean cost of a step of a pendulum that a policy's torque should swing up and hold.

    The gradient is an estimate of evolution strategies: `pairs` antithetic changes of the policy,
    each run from the same few random starts; nothing is differentiated. The loss is the mean cost
    of the changed policies. The dynamics and the cost angle² + 0.1 speed² + 0.001 torque² are those
    of the common benchmark: the torque, at most 2, is too weak to lift the pendulum without a
    swing. The policy sees cosine, sine and speed, and has one hidden layer of tanh units.

    Parameters are a list with (weight [inputs, outputs], bias [outputs]) for both layers, float32.

    Args:
        hidden: Units of the hidden layer.
        pairs: Antithetic pairs of changes.
        deviation: Standard deviation of the changes.
        starts: Random starts, the same for all changes of a gradient.
        steps: Steps of a run, of 0.05 seconds each.

    Raises:
        SettingsError: A setting is out of its range.

    References:
        Salimans et al., "Evolution strategies as a scalable alternative to reinforcement learning"
        (2017, arXiv:1703.03864).
    """

    hidden: Count = eqx.field(static=True, default=16)
    pairs: Count = eqx.field(static=True, default=16)
    deviation: Positive = eqx.field(static=True, default=0.1)
    starts: Count = eqx.field(static=True, default=4)
    steps: Count = eqx.field(static=True, default=60)

    def __check_init__(self):
        check(self)

    def sample(self, *, key: PRNGKeyArray) -> None:
        """None: problems differ by their keys alone."""

    def init(self, problem: None, *, key: PRNGKeyArray) -> Layers:
        return dense(key, (3, self.hidden, 1), gain=0.5**0.5)

    def loss(self, params: Layers, problem: None, *, key: PRNGKeyArray) -> Float[Array, ""]:
        change_key, start_key = jax.random.split(key)
        flat, unravel = ravel_pytree(params)
        held = jax.lax.stop_gradient(flat)
        changes = jax.random.normal(change_key, (self.pairs, len(flat)), flat.dtype)
        both = self.deviation * jnp.concatenate([changes, -changes])
        starts = self._starts(start_key)
        costs = jax.vmap(lambda change: self.cost(unravel(held + change), starts))(both)
        up, down = jnp.split(costs, 2)
        slope = (up - down) @ changes / (2 * self.deviation * self.pairs)
        # The value is the mean cost, and the slope in the parameters is the estimate.
        return jnp.mean(costs) + jax.lax.stop_gradient(slope) @ (flat - held)

    def held_out_loss(
        self, params: Layers, problem: None, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """The mean cost of the policy itself."""
        return self.cost(params, self._starts(key))

    def cost(self, params: Layers, starts: Float[Array, "starts 2"]) -> Float[Array, ""]:
        """The mean cost of a step of runs from these angles and speeds."""

        def step(state, _):
            angle, speed = state.T
            seen = jnp.stack([jnp.cos(angle), jnp.sin(angle), speed / _FASTEST], axis=-1)
            torque = _TORQUE * jnp.tanh(through(params, seen, jnp.tanh)[:, 0])
            off = (angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
            costs = off**2 + 0.1 * speed**2 + 0.001 * torque**2
            force = 1.5 * _GRAVITY * jnp.sin(angle) + 3 * torque
            speed = jnp.clip(speed + _INTERVAL * force, -_FASTEST, _FASTEST)
            return jnp.stack([angle + _INTERVAL * speed, speed], axis=-1), jnp.mean(costs)

        return jnp.mean(jax.lax.scan(step, starts, length=self.steps)[1])

    def _starts(self, key: PRNGKeyArray) -> Float[Array, "starts 2"]:
        """Angles from the top in radians, and speeds, as the benchmark draws them."""
        far = jnp.asarray([jnp.pi, 1.0])
        return jax.random.uniform(key, (self.starts, 2), minval=-1.0) * far
