"""The examples of each framework run, where it is installed, and the loss falls."""

import runpy
import warnings
from pathlib import Path

import jax.numpy as jnp
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "frameworks"


def example(name, *needs):
    for package in needs:
        pytest.importorskip(package, reason=f"needs {package}: make test-extras installs it")
    # Other packages' warnings at import are no faults of ours.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return runpy.run_path(str(FOLDER / f"{name}.py"))


def assert_falls(losses, factor=0.5):
    assert losses[-1] < factor * losses[0]


def test_pytorch_in_mixed_precision(real_data):
    losses = example("torch_mnist", "torch")["train"](steps=40)
    assert sum(losses[-5:]) / 5 < 0.7 * losses[0]


@pytest.mark.filterwarnings("ignore")
def test_accelerate():
    assert_falls(example("accelerate_loop", "torch", "accelerate")["train"]())


@pytest.mark.filterwarnings("ignore")
def test_lightning(tmp_path):
    losses = example("lightning_module", "torch", "lightning")["train"](str(tmp_path))
    assert_falls(losses)
    import torch

    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert "per-tensor" in saved["optimizer_states"][0]["param_groups"][0]["rule"]


@pytest.mark.parametrize(
    ("name", "needs"),
    [("flax_nnx", ["flax"]), ("flax_linen", ["flax"]), ("equinox_model", [])],
)
def test_layers_of_jax(name, needs):
    assert_falls(example(name, *needs)["train"]())


@pytest.mark.parametrize("name", ["apply_if_finite", "inject_hyperparams", "lookahead"])
def test_wrappers_of_optax(name):
    assert_falls(example("optax_wrappers")["train"](name))


def test_a_run_resumed_by_orbax_is_the_uninterrupted_one(tmp_path):
    train = example("orbax_resume")["train"]
    assert jnp.array_equal(train(10), train(10, tmp_path))
