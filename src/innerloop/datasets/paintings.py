"""Paintings to take a style from: any image file."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from ..errors import InnerloopError
from ..runtime.files import read_bytes
from . import files
from .images import LARGEST_FILE, SUFFIXES, decode


def load_painting(
    name: str | Path, side: int, data_dir: str | Path | None = None
) -> Float[np.ndarray, "side side 3"]:
    """The middle square of an image, RGB from 0 to 1, at `side` pixels.

    `name` is a file, or the name of one without its suffix in `data_dir` or INNERLOOP_DATA
    or their subfolder `style`. Raises `InnerloopError` where there is none, or it is no image.
    """
    path = Path(name)
    if not path.is_file():
        path = _find(str(name), data_dir)
    return resized(decode(read_bytes(path, LARGEST_FILE), str(path)), side)


def resized(
    image: UInt8[np.ndarray, "height width 3"], side: int
) -> Float[np.ndarray, "side side 3"]:
    """The middle square of an image, RGB from 0 to 1, at `side` pixels."""
    from PIL import Image, ImageOps

    fitted = ImageOps.fit(Image.fromarray(image), (side, side), Image.Resampling.LANCZOS)
    return np.asarray(fitted, np.float32) / 255


def _find(name: str, data_dir: str | Path | None) -> Path:
    named = files.data_folder(data_dir)
    places = [] if named is None else [named, named / "style"]
    images = [
        file for place in places for file in sorted(place.glob("*"))
        if file.suffix.lower() in SUFFIXES
    ]  # fmt: skip
    for file in images:
        if file.stem == name:
            return file
    there = sorted(file.stem for file in images)
    raise InnerloopError(
        f"There is no painting '{name}': give an image file, or the name of one in the folder that "
        f"--data-dir or INNERLOOP_DATA names{' (' + ', '.join(there) + ')' if there else ''}."
    )
