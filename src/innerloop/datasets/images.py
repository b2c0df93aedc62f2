"""Image files in a directory, or in a zip file, and what they hold."""

import contextlib
import io
import threading
import warnings
import zipfile
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ..errors import InnerloopError
from ..runtime.progress import counting
from .budget import BUDGET, BYTES_PER_PIXEL, machine_memory
from .folders import list_tree

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_OTHER_SUFFIXES = (".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jfif")
"""What photographs may come as too: passed over in silence, they would seem to be looked at."""
LARGEST_FILE = 32 << 20
"""Bytes that a file may have, unpacked; a larger one is refused."""
MOST_PIXELS = 64 << 20
"""Pixels that an image may have; a larger one is refused before it is decoded."""
MOST_FILES = 1_000_000
"""Files and folders that a folder or zip file may hold."""
LONGEST_NAME = 512
"""Characters of a path in a zip file."""
MOST_LEVELS = 32
"""Folders inside each other in a zip file."""
_SAID = 200
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")  # Those of the suffixes: no other decoder is reached.
CONVERT = "convert it to JPEG (a telephone's settings offer the most compatible format)"
"""What to do with a HEIC photograph."""
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif")
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

_EIGHT_BITS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
"""Modes of Pillow that it converts to RGB and grey without loss."""

Read = Callable[[str], bytes]


class ImageStore:
    """The image files under a directory or in a zip, by their path inside it.

    Links inside a directory are followed. `names` are those of the images, by their endings, also
    of kinds that may be refused; `files` are those of all files, and `folders` those of all
    folders. Raises `InnerloopError` where `path` is neither, or is damaged.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if self.path.is_dir():
            self._zip = None
            names, found = list_tree(self.path, MOST_FILES)
            folders = set(found)
        else:
            try:
                self._zip = zipfile.ZipFile(self.path)
                entries = self._zip.infolist()
            except Exception as error:  # zipfile raises many kinds.
                raise InnerloopError(
                    f"{self.path} is neither a folder nor a readable zip file."
                ) from error
            _check(self.path, entries)
            names = [entry.filename for entry in entries if not entry.is_dir()]
            # Not every zip has entries for its folders.
            folders = {entry.filename.rstrip("/") for entry in entries if entry.is_dir()}
            folders |= {str(folder) for name in names for folder in PurePosixPath(name).parents}
            folders.discard(".")
        self.files = sorted(names)
        self.folders = sorted(folders)
        kinds = SUFFIXES + _OTHER_SUFFIXES
        self.names = [name for name in self.files if PurePosixPath(name).suffix.lower() in kinds]

    def read(self, name: str) -> bytes:
        """The bytes of one file. Raises `InnerloopError` where they cannot be had."""
        try:
            if self._zip is None:
                with (self.path / name).open("rb") as stream:
                    content = stream.read(LARGEST_FILE + 1)
            else:
                if self._zip.getinfo(name).compress_type not in _PACKINGS:
                    raise ValueError("it is packed by another method than Deflate.")
                # A header may lie about the size, so that no more than the limit is unpacked.
                with self._zip.open(name) as stream:
                    content = stream.read(LARGEST_FILE + 1)
        except Exception as error:  # zipfile raises many kinds for damaged members.
            said = str(error)[:_SAID]  # Damage may be cited at any length.
            raise InnerloopError(f"{name} in {self.path} cannot be read: {said}") from error
        if len(content) > LARGEST_FILE:
            raise InnerloopError(f"{name} in {self.path} is larger than {LARGEST_FILE} bytes.")
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


def _check(path: Path, entries: Sequence[zipfile.ZipInfo]) -> None:
    """Raises `InnerloopError` for a zip of too many entries, too long names, or two of a name."""
    if len(entries) > MOST_FILES:
        raise InnerloopError(f"{path} holds {len(entries)} files; up to {MOST_FILES} can be read.")
    seen: set[str] = set()
    for name in (entry.filename for entry in entries):
        # Each folder on the way is named too: one long name would make thousands of them.
        if len(name) > LONGEST_NAME or name.count("/") > MOST_LEVELS:
            raise InnerloopError(
                f"{path} holds a file with the name '{name[:40]}…'; names may have up to "
                f"{LONGEST_NAME} characters and {MOST_LEVELS} folders."
            )
        if not name:
            raise InnerloopError(f"{path} holds a file without a name.")
        if name in seen:
            raise InnerloopError(f"{path} holds {name} twice; once is enough.")
        seen.add(name)


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

    def one(index: int) -> None:
        into[index] = convert(names[index])

    # zipfile reads under a lock of its own; the decoding runs beside it.
    pool = ThreadPoolExecutor()
    bar = counting(len(names), label, shown=progress)
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
        image = _in_eight_bits(image, what)
        # Several transparent colours of a palette: Pillow wants to meet them one step at a time.
        if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
            image = image.convert("RGBA")
        return np.asarray(image.convert("RGB"))


def square(
    content: bytes, what: str, side: int, grey: bool
) -> UInt8[np.ndarray, "side side channels"]:
    """The middle square of an image file at `side` pixels, 0 … 255: RGB, or 1 channel of grey.

    It is upright as its camera says (EXIF), transparent parts are white, and pixels are
    averaged (Lanczos) where there are more than are wanted. A large JPEG is decoded at a half, a
    quarter or an eighth of its size where twice `side` pixels are left. Raises `InnerloopError`,
    naming `what`, where it is no image, damaged, or too large, or where `side` is not positive.
    """
    from PIL import Image, ImageOps

    if side < 1:
        raise InnerloopError(f"Images cannot be {side} pixels wide; one or more are wanted.")
    with _opened(content, what) as image:
        # A photograph of 12 million pixels takes a fifth of the time. Others have no such sizes.
        image.draft(None, (2 * side, 2 * side))
        upright = _in_eight_bits(ImageOps.exif_transpose(image), what)
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
        coloured = upright.convert("L" if grey else "RGB")
        fitted = ImageOps.fit(coloured, (side, side), Image.Resampling.LANCZOS)
        return np.asarray(fitted).reshape(side, side, -1)


def is_heic(content: bytes) -> bool:
    """Whether a file is a photograph as telephones save them: HEIC, HEIF or AVIF."""
    return content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS


def _in_eight_bits(image: Any, what: str) -> Any:
    """`image`, in a mode that Pillow converts rightly. It would clip 16 bits of grey to 8."""
    from PIL import Image

    if image.mode in _EIGHT_BITS:
        return image
    if not image.mode.startswith("I"):
        raise InnerloopError(
            f"{what} has pixels of the mode {image.mode}, which are not read; save it with 8 bits "
            "a channel."
        )
    levels = np.asarray(image).astype(np.int64)
    if levels.size and not 0 <= levels.min() <= levels.max() < 1 << 16:
        raise InnerloopError(f"{what} has grey values outside 0 to 65,535; save it with 16 bits.")
    grey = Image.fromarray(np.round(levels / 257).astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        alpha = np.where(levels == clear, 0, 255).astype(np.uint8)
        grey = Image.merge("LA", (grey, Image.fromarray(alpha)))
    return grey


class _Quiet:
    """While any thread is in it, Pillow's warnings (of odd EXIF, of many pixels) are not shown.

    Python's own `catch_warnings` puts back what others have changed, where threads overlap.
    """

    def __init__(self):
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self):
        with self._lock:
            if not self._inside:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *_: object):
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._caught.__exit__(None, None, None)


_quiet = _Quiet()


@contextlib.contextmanager
def _opened(content: bytes, what: str) -> Generator[Any]:
    """The image in a file. Whatever is wrong with it raises an `InnerloopError`."""
    from PIL import Image

    if is_heic(content):
        raise InnerloopError(f"{what} is a HEIC photograph, which is not read; {CONVERT}.")
    try:
        with _quiet, Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            pixels = image.width * image.height
            if pixels > MOST_PIXELS:
                raise InnerloopError(f"{what} has more than {MOST_PIXELS} pixels.")
            if 2 * pixels * BYTES_PER_PIXEL > machine_memory():
                raise InnerloopError(
                    f"{what} has {pixels} pixels, and decoding it would take more than half of "
                    "this machine's memory; make it smaller."
                )
            with BUDGET.take(pixels):
                yield image
    except InnerloopError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds.
        raise InnerloopError(
            f"{what} is no readable image: it is damaged, or no PNG, JPEG, BMP or WebP."
        ) from error
