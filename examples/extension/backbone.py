"""A few-shot backbone of one's own: a dense layer over patches of the image.

innerloop fewshot train protonet --backbone examples/extension/backbone.py:Patches
"""

import equinox as eqx
import jax
import jax.numpy as jnp

import innerloop


@innerloop.register("patches")
class Patches(innerloop.fewshot.Backbone):
    """The mean over patches of ReLU(W patch + b).

    Args:
        size: Height and width of a patch, in pixels.
        units: Features of an image.
    """

    size: int = eqx.field(static=True, default=4)
    units: int = eqx.field(static=True, default=32)
    width = property(lambda self: self.units)
    layers = property(lambda self: ("dense",))

    def init(self, *, key):
        inputs = self.size**2 * self.channels
        weight = jax.random.normal(key, (inputs, self.units)) * (2 / inputs) ** 0.5
        return {"dense": {"weight": weight, "bias": jnp.zeros(self.units)}}

    def features(self, params, images, statistics=None):
        n, size, count = len(images), self.size, self.side // self.size
        images = images[:, : count * size, : count * size] / 255
        patches = images.reshape(n, count, size, count, size, -1).swapaxes(2, 3)
        dense = params["dense"]
        units = patches.reshape(n, count**2, -1) @ dense["weight"] + dense["bias"]
        return jnp.mean(jax.nn.relu(units), axis=1), {}
