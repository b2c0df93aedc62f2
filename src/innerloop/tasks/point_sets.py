"""A network on sets: which shape random points lie on (Zaheer et al. 2017)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..registry import register
from ..runtime.settings import Count, Positive, check
from ._base import TaskFamily
from ._on_mnist import dense, through
from .mnist import Layers, cross_entropy

Params = dict[str, Layers]
SIDES = (3, 4, 5, 0)
"""The sides of the shapes: polygons, and a circle."""


@register("point-sets")
@final
class PointSets(TaskFamily):
    """Cross-entropy (nats) of a network that tells shapes by points on them.

    An example is a set of `points` points of a triangle, a square, a pentagon or a circle of
    random size and rotation, with Gaussian noise. Each minibatch has fresh sets. The network puts
    each point through a layer of ReLU units, takes mean and maximum over the set, and puts both
    through another: the order of the points does not matter.

    Parameters are {"points": layers, "set": layers}, each a list with (weight [inputs, outputs],
    bias [outputs]) for its two layers, float32.

    Args:
        points: Points of a set.
        hidden: Units of each layer.
        noise: Standard deviation of the noise; shapes have a radius of about 1.
        batch: Sets in a minibatch.

    Raises:
        SettingsError: A setting is out of its range.

    References:
        Zaheer et al., "Deep sets" (2017, arXiv:1703.06114).
    """

    points: Count = eqx.field(static=True, default=24)
    hidden: Count = eqx.field(static=True, default=32)
    noise: Positive = eqx.field(static=True, default=0.02)
    batch: Count = eqx.field(static=True, default=32)

    def __check_init__(self):
        check(self)

    def sample(self, *, key: PRNGKeyArray) -> None:
        """None: problems differ by their keys alone."""

    def init(self, problem: None, *, key: PRNGKeyArray) -> Params:
        point_key, set_key = jax.random.split(key)
        width = self.hidden
        return {
            "points": dense(point_key, (2, width, width)),
            "set": dense(set_key, (2 * width, width, len(SIDES))),
        }

    def loss(self, params: Params, problem: None, *, key: PRNGKeyArray) -> Float[Array, ""]:
        label_key, draw_key = jax.random.split(key)
        labels = jax.random.randint(label_key, (self.batch,), 0, len(SIDES))
        sets = jax.vmap(self._points)(labels, jax.random.split(draw_key, self.batch))
        seen = through(params["points"], sets.reshape(-1, 2), jax.nn.relu)
        seen = seen.reshape(self.batch, self.points, -1)
        pooled = jnp.concatenate([jnp.mean(seen, axis=1), jnp.max(seen, axis=1)], axis=-1)
        logits = through(params["set"], pooled, jax.nn.relu)
        return cross_entropy(logits, labels.astype(jnp.uint8))

    def _points(self, label: Int[Array, ""], key: PRNGKeyArray) -> Float[Array, "points 2"]:
        angle_key, turn_key, size_key, noise_key = jax.random.split(key, 4)
        angles = jax.random.uniform(angle_key, (self.points,), maxval=2 * jnp.pi)
        sides = jnp.asarray(SIDES)[label]
        # The distance of a regular polygon's edge from its centre, at an angle.
        sector = 2 * jnp.pi / jnp.maximum(sides, 1)
        edge = jnp.cos(sector / 2) / jnp.cos(angles % sector - sector / 2)
        radius = jnp.where(sides == 0, 0.8, edge)
        turned = angles + jax.random.uniform(turn_key, maxval=2 * jnp.pi)
        size = jax.random.uniform(size_key, minval=0.5, maxval=1.5)
        places = size * radius[:, None] * jnp.stack([jnp.cos(turned), jnp.sin(turned)], axis=-1)
        return places + self.noise * jax.random.normal(noise_key, places.shape)
