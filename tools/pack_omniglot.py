"""Pack Omniglot into the few files that innerloop ships.

    python tools/pack_omniglot.py FOLDER

FOLDER holds images_background.zip, images_evaluation.zip and LICENSE, as
https://github.com/brendenlake/omniglot publishes them: 1,623 characters, drawn by 20 people
each, as black ink on white in 105×105 pixels of one bit. Written to src/innerloop/datasets/packed:

- omniglot.xz, every pixel, ink as 1: drawing by drawing, [32460, 14, 105] bytes. The 14 bytes
  of a row are its 105 bits, filled up with zeros; byte 0 of all the rows comes first, then byte
  1 of all the rows, and so on. Laid out like that xz needs 2.1 MB; with the rows one after
  another it needs 2.7 MB, and with the bits end to end 3.1 MB.
- omniglot.json, the alphabets in order with how many characters each has, and the digest of
  omniglot.xz.
- omniglot.LICENSE, the dataset's licence.
"""

import hashlib
import io
import itertools
import json
import lzma
import sys
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

ZIPS = ("images_background.zip", "images_evaluation.zip")
SIDE = 105
DRAWINGS = 20
PACKED = Path(__file__).parent.parent / "src" / "innerloop" / "datasets" / "packed"
# Positions in a word of several bytes mean nothing here, so that no bits go into them (pb).
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "pb": 0}]


def main(folder: Path) -> None:
    drawings: list[np.ndarray] = []
    alphabets: dict[str, int] = {}
    for name in ZIPS:
        with zipfile.ZipFile(folder / name) as archive:
            # Alphabets by name, their characters in order, the drawers of each in order.
            files = sorted(PurePosixPath(file) for file in archive.namelist() if ".png" in file)
            for alphabet, characters in itertools.groupby(files, lambda file: file.parts[1]):
                numbered = itertools.groupby(characters, lambda file: file.parts[2])
                for number, (character, group) in enumerate(numbered, 1):
                    pages = [drawing(archive.read(str(file))) for file in group]
                    assert character == f"character{number:02}", f"{alphabet}/{character}"
                    assert len(pages) == DRAWINGS, f"{alphabet}/{character}: {len(pages)}"
                    drawings += pages
                    alphabets[alphabet] = number
    assert len(drawings) == DRAWINGS * sum(alphabets.values()) == 32460

    columns = np.packbits(np.stack(drawings), axis=-1).transpose(0, 2, 1)
    content = lzma.compress(columns.tobytes(), format=lzma.FORMAT_XZ, filters=FILTERS)
    description = {"sha256": hashlib.sha256(content).hexdigest(), "alphabets": alphabets}
    PACKED.mkdir(exist_ok=True)
    (PACKED / "omniglot.xz").write_bytes(content)
    (PACKED / "omniglot.json").write_text(json.dumps(description, indent=1) + "\n")
    (PACKED / "omniglot.LICENSE").write_bytes((folder / "LICENSE").read_bytes())
    print(f"{PACKED / 'omniglot.xz'}: {len(drawings):,} drawings in {len(content):,} bytes.")


def drawing(content: bytes) -> np.ndarray:
    """The pixels of a PNG file, bool[105, 105], true where there is ink."""
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "1" and image.size == (SIDE, SIDE), (image.mode, image.size)
        return ~np.asarray(image)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
