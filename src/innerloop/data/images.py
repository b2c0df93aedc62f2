"""Images in folders of one class each: a directory, or the same in a zip file."""

import io
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8

from ..errors import InnerloopError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_LARGEST_FILE = 32 << 20
_MOST_PIXELS = 64 << 20

Read = Callable[[str], bytes]


class ImageStore:
    """The image files under a directory or in a zip, by their path inside it.

    Raises `InnerloopError` where `path` is neither, or is damaged.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if self.path.is_dir():
            self._zip = None
            files = (file for file in self.path.rglob("*") if file.is_file())
            names = [file.relative_to(self.path).as_posix() for file in files]
        else:
            try:
                self._zip = zipfile.ZipFile(self.path)
                names = [entry.filename for entry in self._zip.infolist() if not entry.is_dir()]
            except (OSError, zipfile.BadZipFile) as error:
                raise InnerloopError(
                    f"{self.path} is neither a folder nor a readable zip file."
                ) from error
        self.names = sorted(
            name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES
        )

    def read(self, name: str) -> bytes:
        """The bytes of one file. Raises `InnerloopError` where they cannot be had."""
        try:
            if self._zip is None:
                content = (self.path / name).read_bytes()
            else:
                # A header may lie about the size, so that no more than the limit is unpacked.
                with self._zip.open(name) as stream:
                    content = stream.read(_LARGEST_FILE + 1)
        except Exception as error:  # zipfile raises many kinds for damaged members.
            raise InnerloopError(f"{name} in {self.path} cannot be read: {error}") from error
        if len(content) > _LARGEST_FILE:
            raise InnerloopError(f"{name} in {self.path} is larger than {_LARGEST_FILE} bytes.")
        return content

    def images(
        self, names: Iterable[str], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "images height width 3"]:
        """The named images as RGB, 0 … 255; each must be `size`, (height, width) in pixels."""

        def one(name: str) -> np.ndarray:
            image = decode(self.read(name), f"{name} in {self.path}")
            if image.shape[:2] != size:
                raise InnerloopError(
                    f"{name} in {self.path} is {image.shape[1]}×{image.shape[0]} pixels; "
                    f"{size[1]}×{size[0]} are wanted."
                )
            return image

        # zipfile reads under a lock of its own; the decoding runs beside it.
        with ThreadPoolExecutor() as pool:
            decoded = list(pool.map(one, names))
        return np.stack(decoded) if decoded else np.zeros((0, *size, 3), np.uint8)


def decode(content: bytes, what: str) -> UInt8[np.ndarray, "height width 3"]:
    """An image file as RGB, 0 … 255.

    Raises `InnerloopError`, naming `what`, where it is no image, damaged, or too large.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise InnerloopError(f"{what} has more than {_MOST_PIXELS} pixels.")
            return np.asarray(image.convert("RGB"))
    except InnerloopError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds.
        raise InnerloopError(f"{what} is no readable image.") from error
