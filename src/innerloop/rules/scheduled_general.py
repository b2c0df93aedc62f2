"""The general rule with a schedule: its network is frozen, a few numbers can be learned."""

import math
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from ..errors import InnerloopError
from ..registry import register
from ..runtime.settings import Count, Positive
from ._base import Rule
from ._flat import gathered
from ._frozen import freeze, thaw
from .general import LARGEST, GeneralRule, GeneralState

PLACES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 1.0)
"""The parts of a run between which the logarithm of the factor is a line."""
_LOWEST = 0.01  # The first factor at a run's end.
_WARM_UP, _TIME, _POWER = 10.0, 100.0, 0.5
LONG, MOST_HURRY = 1000, 2.0
"""Steps of a run that need no hurry, and how much larger the steps of a short one are at most."""
_GAIN_RATE, _LEAST_COSINE, _MOST_GAIN = 0.1, 0.2, 3.0
_TINY = 1e-30


class ScheduledGeneralState(NamedTuple):
    """The general rule's averages, the step, and the gain of each array."""

    averages: GeneralState
    step: Float[Array, ""]
    """A float, as is all that a meta-gradient goes back through."""
    log_gains: tuple[Float[Array, ""], ...]


@register("scheduled-general")
@final
class ScheduledGeneralRule(Rule):
    """c_t · exp(a_t) times the steps of a `GeneralRule` that is trained no more.

    Each array has a gain exp(a), which is 1 at first:
    a ← clip(a + 0.1 (cos(g_t, m_{t−1}) − 0.2), 0, 3), with the average m of the last ten gradients
    or so. Steps that are relative to the parameters are too small where these begin at 0 or near
    it. As long as the gradient keeps its direction, the steps grow; once it turns or is mostly
    noise, the gain goes back to 1. This is the delta-bar-delta rule (Jacobs 1988, "Increased rates
    of convergence through learning rate adaptation") for a whole array; Baydin et al. (2018,
    arXiv:1703.04782) derive it as a gradient by the rate.

    The schedule c has eleven numbers, which are set by hand at first. Meta-training changes them.
    The shipped rule `general` has the first ones: learned ones were worse on most problems.

    Where the number of steps T is known, log c_t is a line through seven knots over t / T, and
    stays at the last one after T. At first it is a warm-up over a twentieth of the run and a cosine
    after it (Loshchilov & Hutter 2017, arXiv:1608.03983); learned rates of steps are from
    Maclaurin, Duvenaud & Adams (2015, arXiv:1502.03492). A run of fewer than 1,000 steps is in a
    hurry: its steps are √(1000 / T) times larger, twice at most.

    Where it is not known, c_t = a (1 − exp(−(t + 1) / w)) (1 + t / τ)^(−p), with numbers a, w, τ
    and p: an exponential warm-up (Ma & Yarats 2021, arXiv:1910.04209) and a decay by a power of
    time (Robbins & Monro 1951), of which p = ½ is the usual one. It needs no horizon, and
    the parameters are the answer. The average of Schedule-Free (Defazio et al. 2024,
    arXiv:2405.15682) would need a second set of parameters to be judged at, which a training loop
    that takes any Optax transformation does not ask for.

    The weights of the network are no floats here but their bits, so that whatever trains this rule
    trains the schedule alone. A step costs what a step of the general rule costs.

    Args:
        key: Draws the weights of the network, which are then frozen. `around` takes trained ones.
        hidden: As of `GeneralRule`.
        orthogonalise: As of `GeneralRule`.
        learning_rate: As of `GeneralRule`.

    Raises:
        SettingsError: A setting has another type, or is out of its range.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from innerloop.rules import ScheduledGeneralRule
        >>> rule = ScheduledGeneralRule(key=jax.random.key(0)).with_horizon(100)
        >>> bool(rule.factor(50) > rule.factor(99))
        True
    """

    bits: GeneralRule
    """The network's weights as uint32, see `general`."""
    steps: Int[Array, ""]
    """T; 0 where it is not known."""
    log_knots: Float[Array, " knots"]
    log_level: Float[Array, ""]
    log_warm_up: Float[Array, ""]
    log_time: Float[Array, ""]
    log_power: Float[Array, ""]

    def __init__(
        self,
        *,
        key: PRNGKeyArray,
        hidden: Count = 8,
        orthogonalise: bool = False,
        learning_rate: Positive = 1.0,
    ):
        self.bits = freeze(
            GeneralRule(
                key=key, hidden=hidden, orthogonalise=orthogonalise, learning_rate=learning_rate
            )
        )
        self.steps = jnp.zeros((), jnp.int32)
        self.log_knots = jnp.asarray([_first_knot(place) for place in PLACES])
        self.log_level = jnp.zeros(())
        self.log_warm_up = jnp.asarray(math.log(_WARM_UP))
        self.log_time = jnp.asarray(math.log(_TIME))
        self.log_power = jnp.asarray(math.log(_POWER))

    @classmethod
    def around(cls, rule: Rule) -> "ScheduledGeneralRule":
        """The first schedule around a trained general rule; one that has a schedule as it is.

        Args:
            rule: A `GeneralRule`, or one of this class.

        Raises:
            InnerloopError: It is another rule.
        """
        if isinstance(rule, cls):
            return rule
        if not isinstance(rule, GeneralRule):
            raise InnerloopError(
                f"The rule is a {type(rule).__name__}; this schedule is for a GeneralRule."
            )
        made = cls.from_settings(rule.to_settings(), key=jax.random.key(0))
        return eqx.tree_at(lambda each: each.bits, made, freeze(rule))

    @property
    def general(self) -> GeneralRule:
        """The general rule, with its weights as float32."""
        return thaw(self.bits)

    def to_settings(self) -> dict[str, Any]:
        """Those of the general rule."""
        return self.bits.to_settings()

    def with_horizon(self, steps: int | Int[Array, ""]) -> "ScheduledGeneralRule":
        """This rule, told the length of the run.

        Args:
            steps: T, 1 or more; it may be traced. 0 where it is not known.
        """
        return eqx.tree_at(lambda each: each.steps, self, jnp.asarray(steps, jnp.int32))

    def without_schedule(self) -> "ScheduledGeneralRule":
        """This rule with c_t = 1, for another schedule around it. The gains stay."""
        steps, knots = jnp.ones((), jnp.int32), jnp.zeros_like(self.log_knots)
        return eqx.tree_at(lambda each: (each.steps, each.log_knots), self, (steps, knots))

    def init(self, params: PyTree) -> ScheduledGeneralState:
        gains = tuple(jnp.zeros((), jnp.float32) for _ in jax.tree.leaves(params))
        return ScheduledGeneralState(self.general.init(params), jnp.zeros((), jnp.float32), gains)

    def update(
        self,
        grads: PyTree,
        state: ScheduledGeneralState,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScheduledGeneralState]:
        averages, step, log_gains = state
        leaves, structure = jax.tree.flatten(grads)
        log_gains = tuple(map(_moved_on, log_gains, leaves, averages.momenta))
        updates, averages = self.general.update(grads, averages, params, value=value, **extra)
        factor = self.factor(step)

        def scaled(update: Array, log_gain: Array) -> Array:
            whole = factor * jnp.exp(log_gain).astype(factor.dtype)
            return (whole * update.astype(factor.dtype)).astype(update.dtype)

        updates = jax.tree.unflatten(structure, map(scaled, jax.tree.leaves(updates), log_gains))
        return updates, ScheduledGeneralState(averages, step + 1, log_gains)

    def factor(self, step: int | Float[Array, ""]) -> Float[Array, ""]:
        """c_t.

        Args:
            step: t, from 0.
        """
        dtype = self.log_knots.dtype
        step = jnp.asarray(step, dtype)
        place = step / jnp.maximum(1, self.steps - 1).astype(dtype)
        known = jnp.exp(jnp.interp(place, jnp.asarray(PLACES, dtype), self.log_knots))
        hurry = jnp.sqrt(LONG / jnp.maximum(1, self.steps).astype(dtype))
        # A run of one step has no schedule: `without_schedule`.
        known *= jnp.where(self.steps > 1, jnp.clip(hurry, 1, MOST_HURRY), 1)
        warm = -jnp.expm1(-(step + 1) / jnp.exp(self.log_warm_up))
        slow = -jnp.exp(self.log_power) * jnp.log1p(step / jnp.exp(self.log_time))
        return jnp.where(self.steps > 0, known, warm * jnp.exp(self.log_level + slow))


def _moved_on(
    log_gain: Float[Array, ""], grad: Array, momenta: Float[Array, "momenta ..."]
) -> Float[Array, ""]:
    """The logarithm of an array's gain after a gradient, by the average of those before it."""
    g = jnp.clip(gathered(grad).astype(jnp.float32), -LARGEST, LARGEST)
    mean = momenta[0]

    def dot(one: Array, other: Array) -> Array:
        return jnp.sum(one * other, dtype=float)  # In 64 bits where JAX has them.

    lengths = jax.lax.rsqrt(dot(g, g) + _TINY) * jax.lax.rsqrt(dot(mean, mean) + _TINY)
    cosine = jnp.nan_to_num(dot(g, mean) * lengths).astype(log_gain.dtype)
    return jnp.clip(log_gain + _GAIN_RATE * (cosine - _LEAST_COSINE), 0.0, _MOST_GAIN)


def _first_knot(place: float) -> float:
    """The logarithm of a warm-up and a cosine, which ends above 0."""
    if place < PLACES[1]:
        return math.log(0.1)
    part = (place - PLACES[1]) / (1 - PLACES[1])
    return math.log(max(_LOWEST, (1 + math.cos(math.pi * part)) / 2))
