"""A network of sine units that stands for an image (Sitzmann et al. 2020)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..registry import register
from ..runtime.settings import Count, Positive, check
from ._base import TaskFamily
from .mnist import Layers


class Waves(eqx.Module):
    """An image: a sum of plane waves, seen through tanh."""

    directions: Float[Array, "waves 2"]
    phases: Float[Array, " waves"]

    def __call__(self, places: Float[Array, "n 2"]) -> Float[Array, " n"]:
        waves = jnp.sin(places @ self.directions.T + self.phases)
        # Edges, as images have them.
        return jnp.tanh(4 * jnp.mean(waves, axis=-1) * jnp.sqrt(len(self.phases)))


@register("wave-image")
@final
class WaveImage(TaskFamily):
    """Mean squared error of a network of sine units on random places of a random image.

    A problem is an image on the square (−1, 1)²: `waves` random plane waves through tanh, with
    values from −1 to 1. Each minibatch has fresh places. The network has two hidden layers of sine
    units, initialised as in the paper.

    Parameters are a list with (weight [inputs, outputs], bias [outputs]) for the three layers,
    float32.

    Args:
        waves: Waves of an image.
        detail: Standard deviation of the waves' frequencies, in radians for one unit.
        hidden: Units of each hidden layer.
        frequency: What the first layer's sums are multiplied by.
        batch: Places in a minibatch.

    Raises:
        SettingsError: A setting is out of its range.

    References:
        Sitzmann et al., "Implicit neural representations with periodic activation functions" (2020,
        arXiv:2006.09661).
    """

    waves: Count = eqx.field(static=True, default=8)
    detail: Positive = eqx.field(static=True, default=6.0)
    hidden: Count = eqx.field(static=True, default=48)
    frequency: Positive = eqx.field(static=True, default=10.0)
    batch: Count = eqx.field(static=True, default=256)

    def __check_init__(self):
        check(self)

    def sample(self, *, key: PRNGKeyArray) -> Waves:
        direction_key, phase_key = jax.random.split(key)
        directions = self.detail * jax.random.normal(direction_key, (self.waves, 2))
        return Waves(directions, jax.random.uniform(phase_key, (self.waves,), maxval=2 * jnp.pi))

    def init(self, problem: Waves, *, key: PRNGKeyArray) -> Layers:
        widths = (2, self.hidden, self.hidden, 1)
        layers: Layers = []
        for number, each in enumerate(jax.random.split(key, 3)):
            inputs, outputs = widths[number], widths[number + 1]
            most = 1 / inputs if number == 0 else (6 / inputs) ** 0.5
            weight = most * jax.random.uniform(each, (inputs, outputs), minval=-1.0)
            layers.append((weight, jnp.zeros(outputs)))
        return layers

    def loss(self, params: Layers, problem: Waves, *, key: PRNGKeyArray) -> Float[Array, ""]:
        places = jax.random.uniform(key, (self.batch, 2), minval=-1.0)
        (first, first_bias), (second, second_bias), (weight, bias) = params
        units = jnp.sin(self.frequency * (places @ first) + first_bias)
        units = jnp.sin(units @ second + second_bias)
        return jnp.mean(((units @ weight + bias)[:, 0] - problem(places)) ** 2)
