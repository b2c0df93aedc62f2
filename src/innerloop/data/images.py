"""Image files in a directory, or in a zip file, and what they hold."""

import contextlib
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ..errors import InnerloopError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_LARGEST_FILE = 32 << 20
_MOST_PIXELS = 64 << 20

Read = Callable[[str], bytes]


class ImageStore:
    """The image files under a directory or in a zip, by their path inside it.

    `names` are those of the images, `files` those of all files, and `folders` those of all
    folders. Raises `InnerloopError` where `path` is neither, or is damaged.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if self.path.is_dir():
            self._zip = None
            found = list(self.path.rglob("*"))
            names = [place.relative_to(self.path).as_posix() for place in found if place.is_file()]
            folders = {place.relative_to(self.path).as_posix() for place in found if place.is_dir()}
        else:
            try:
                self._zip = zipfile.ZipFile(self.path)
                entries = self._zip.infolist()
            except (OSError, zipfile.BadZipFile) as error:
                raise InnerloopError(
                    f"{self.path} is neither a folder nor a readable zip file."
                ) from error
            names = [entry.filename for entry in entries if not entry.is_dir()]
            # Not every zip has entries for its folders.
            folders = {entry.filename.rstrip("/") for entry in entries if entry.is_dir()}
            folders |= {str(folder) for name in names for folder in PurePosixPath(name).parents}
            folders.discard(".")
        self.files = sorted(names)
        self.folders = sorted(folders)
        self.names = [name for name in self.files if PurePosixPath(name).suffix.lower() in SUFFIXES]

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

    def identity(self, names: Iterable[str]) -> str:
        """A text that is another one when the named files are others, or have changed.

        It is made of paths, sizes and times; no content is read.
        """
        if self._zip is not None:
            lines = [_stamp(self.path), *names]
        else:
            lines = [f"{name} {_stamp(self.path / name)}" for name in names]
        return "\n".join([str(self.path.resolve()), *lines])

    def image(self, name: str, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
        """The named image as RGB, 0 … 255; it must be `size`, (height, width) in pixels."""
        image = decode(self.read(name), f"{name} in {self.path}")
        if image.shape[:2] != size:
            raise InnerloopError(
                f"{name} in {self.path} is {image.shape[1]}×{image.shape[0]} pixels; "
                f"{size[1]}×{size[0]} are wanted."
            )
        return image

    def images(
        self, names: Iterable[str], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "images height width 3"]:
        """The named images as RGB, 0 … 255; each must be `size`, (height, width) in pixels."""

        # zipfile reads under a lock of its own; the decoding runs beside it.
        with ThreadPoolExecutor() as pool:
            decoded = list(pool.map(lambda name: self.image(name, size), names))
        return np.stack(decoded) if decoded else np.zeros((0, *size, 3), np.uint8)


def hidden(path: str) -> bool:
    """Whether a file or folder by its path inside a store is none of the user's images.

    A part of it begins with a dot, or it is what macOS adds to zip files.
    """
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise InnerloopError(f"{path} cannot be read: {error.strerror}.") from error
    return f"{status.st_size} {status.st_mtime_ns}"


def convert_all(
    names: Sequence[str],
    convert: Callable[[str], np.ndarray],
    into: np.ndarray,
    label: str,
    progress: bool,
) -> None:
    """`into[i] = convert(names[i])` for all of them, by several threads.

    With `progress` a bar called `label` on stderr counts them. Raises the first error that
    `convert` raises; what has not begun by then is not begun.
    """
    from tqdm import tqdm

    def one(index: int) -> None:
        into[index] = convert(names[index])

    # zipfile reads under a lock of its own; the decoding runs beside it.
    pool = ThreadPoolExecutor()
    bar = tqdm(total=len(names), desc=label, unit=" images", disable=not progress)
    try:
        for _ in pool.map(one, range(len(names))):
            bar.update()
    finally:
        pool.shutdown(cancel_futures=True)
        bar.close()


def decode(content: bytes, what: str) -> UInt8[np.ndarray, "height width 3"]:
    """An image file as RGB, 0 … 255.

    Raises `InnerloopError`, naming `what`, where it is no image, damaged, or too large.
    """
    with _opened(content, what) as image:
        return np.asarray(image.convert("RGB"))


def square(
    content: bytes, what: str, side: int, grey: bool
) -> UInt8[np.ndarray, "side side channels"]:
    """The middle square of an image file at `side` pixels, 0 … 255: RGB, or 1 channel of grey.

    It is upright as its camera says (EXIF), transparent parts are white, and pixels are
    averaged (Lanczos) where there are more than are wanted. Raises `InnerloopError`, naming
    `what`, where it is no image, damaged, or too large, or where `side` is not positive.
    """
    from PIL import Image, ImageOps

    if side < 1:
        raise InnerloopError(f"Images cannot be {side} pixels wide; one or more are wanted.")
    with _opened(content, what) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
        coloured = upright.convert("L" if grey else "RGB")
        fitted = ImageOps.fit(coloured, (side, side), Image.Resampling.LANCZOS)
        return np.asarray(fitted).reshape(side, side, -1)


@contextlib.contextmanager
def _opened(content: bytes, what: str) -> Iterator[Any]:
    """The image in a file; whatever goes wrong with it is said in a sentence."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise InnerloopError(f"{what} has more than {_MOST_PIXELS} pixels.")
            yield image
    except InnerloopError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds.
        raise InnerloopError(f"{what} is no readable image.") from error
