"""Many small classifiers of MNIST digits: a family to train one rule for all of them."""

from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ..errors import InnerloopError
from ..registry import register
from ._base import TaskFamily
from .mnist import ACTIVATIONS, MNIST, cross_entropy

Params = dict[str, Float[Array, "..."]]


class Member(eqx.Module):
    """One network of the family, all of whose members have arrays of the same shapes."""

    units: Bool[Array, " width"]
    """The hidden units that there are; the others give 0, and so do their gradients."""
    deep: Bool[Array, ""]
    """Whether there is a second hidden layer."""
    activation: Int[Array, ""]
    """The place in `ACTIVATIONS`."""
    scale: dict[str, Float[Array, ""]]
    """What each parameter array is multiplied by before it is used."""


@register("mnist-family")
@final
class MNISTFamily(TaskFamily):
    """Cross-entropy (nats) of random multilayer perceptrons on minibatches of MNIST.

    The networks of `MNIST` with a random number of hidden units (half of `width` to all of it), one
    or two hidden layers, and a random activation. Each array of parameters is seen through a random
    scale, exp of a uniform draw from ±`scaling`, which multiplies its gradients and divides the
    steps that it needs. The paper draws such a scale for each coordinate, and this family for each
    array. Minibatches, initial weights and the judge's minibatches are as in `MNIST`.

    Parameters are a dictionary of float32 arrays, with the same shapes for every member of the
    family.

    Args:
        width: The largest number of hidden units, 2 or more.
        scaling: The largest logarithm of a scale, not negative.
        batch: Training images of a minibatch.
        meta_batch: Training images of the minibatches that an unroll is judged by in meta-training.
        init_scale: Standard deviation of the initial weights and biases, before they are scaled.
        data_dir: A folder with the data, see `innerloop.datasets.load_mnist`; None for
            INNERLOOP_DATA and the user's cache.

    Raises:
        InnerloopError: A setting is out of its range, or the data is neither here nor to be had.

    Example:
        >>> import innerloop
        >>> task = innerloop.MNISTFamily(width=10, scaling=1.0)  # doctest: +SKIP

    References:
        Lv, Jiang & Li, "Learning gradient descent: better generalization and longer horizons"
        (2017, arXiv:1703.03633), Section 4.2, for random scaling.
    """

    base: MNIST
    width: int = eqx.field(static=True)
    scaling: float = eqx.field(static=True)

    def __init__(
        self,
        *,
        width: int = 20,
        scaling: float = 0.5,
        batch: int = 128,
        meta_batch: int = 512,
        init_scale: float = 0.01,
        data_dir: str | Path | None = None,
    ):
        if width < 2:
            raise InnerloopError(f"width is {width}; it must be at least 2.")
        if scaling < 0:
            raise InnerloopError(f"scaling is {scaling}; it must not be negative.")
        self.width, self.scaling = width, scaling
        self.base = MNIST(
            hidden=(width,),
            batch=batch,
            meta_batch=meta_batch,
            init_scale=init_scale,
            data_dir=data_dir,
        )

    def sample(self, *, key: PRNGKeyArray) -> Member:
        width_key, deep_key, activation_key, scale_key = jax.random.split(key, 4)
        units = jax.random.randint(width_key, (), self.width // 2, self.width + 1)
        shapes = self._shapes()
        draws = jax.random.uniform(scale_key, (len(shapes),), minval=-1.0) * self.scaling
        return Member(
            jnp.arange(self.width) < units,
            jax.random.bernoulli(deep_key),
            jax.random.randint(activation_key, (), 0, len(ACTIVATIONS)),
            dict(zip(shapes, jnp.exp(draws), strict=True)),
        )

    def init(self, problem: Member, *, key: PRNGKeyArray) -> Params:
        shapes = self._shapes()
        keys = jax.random.split(key, len(shapes))
        return {
            name: self.base.init_scale * jax.random.normal(part, shape) / problem.scale[name]
            for part, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    def loss(self, params: Params, problem: Member, *, key: PRNGKeyArray) -> Float[Array, ""]:
        return self._on_minibatch(params, problem, self.base.batch, key)

    def meta_loss(self, params: Params, problem: Member, *, key: PRNGKeyArray) -> Float[Array, ""]:
        return self._on_minibatch(params, problem, self.base.meta_batch, key)

    def _on_minibatch(
        self, params: Params, problem: Member, batch: int, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        images, labels = self.base.minibatch(batch, key)
        weights = {name: problem.scale[name] * leaf for name, leaf in params.items()}

        def active(sums: Float[Array, "batch width"]) -> Float[Array, "batch width"]:
            branches = list(ACTIVATIONS.values())
            # Under vmap all branches are computed; they are cheap beside the products.
            return jax.lax.switch(problem.activation, branches, sums) * problem.units

        first = active(images @ weights["w1"] + weights["b1"])
        second = active(first @ weights["w2"] + weights["b2"])
        hidden = jnp.where(problem.deep, second, first)
        return cross_entropy(hidden @ weights["w3"] + weights["b3"], labels)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        width, pixels = self.width, self.base.images.shape[1]
        return {
            "w1": (pixels, width),
            "b1": (width,),
            "w2": (width, width),
            "b2": (width,),
            "w3": (width, 10),
            "b3": (10,),
        }
