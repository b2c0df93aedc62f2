"""The convolution of whole networks by patches, and by XLA."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop.kernels import convolution, episode_convolution, winograd


@pytest.mark.parametrize("side", [1, 3, 5])
def test_patches_are_xlas_own_and_so_are_their_gradients(key, side):
    shapes = [(2, 6, 4, 3), (5, side, side, 2), (5, 6, 4, 3)]
    images, kernel, pull = (
        jax.random.normal(each, shape)
        for each, shape in zip(jax.random.split(key, 3), shapes, strict=True)
    )

    def both(function):
        units, back = jax.vjp(function, images, kernel)
        return units, back(pull)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        both(convolution.by_patches),
        both(convolution.by_xla),
    )


CALLS = {
    "conv": lambda: convolution.conv(jnp.ones((2, 4, 4, 3)), jnp.ones((5, 3, 3, 2))),
    "winograd": lambda: winograd.convolve(jnp.ones((4, 4, 2)), jnp.ones((5, 3, 3, 2))),
    "episode": lambda: episode_convolution.convolve(jnp.ones((3, 4, 4, 2)), jnp.ones((5, 3, 3, 2))),
    "pooled": lambda: episode_convolution.convolve_and_pool(
        jnp.ones((3, 4, 4, 2)), jnp.ones((5, 3, 3, 2)), jnp.ones(5)
    ),
}


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("name", CALLS)
def test_the_backend_chooses_the_convolution(monkeypatch, name, backend):
    def program(chosen):
        monkeypatch.setattr(jax, "default_backend", lambda: chosen)
        return str(jax.make_jaxpr(lambda: CALLS[name]())())

    assert ("conv_general_dilated" in program(backend)) == (backend == "gpu")


@pytest.mark.parametrize("name", CALLS)
def test_all_backends_give_the_same(monkeypatch, name):
    ours = CALLS[name]()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), ours, CALLS[name]())
