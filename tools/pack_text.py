"""Pack the project's own pages on its design into the text that innerloop ships.

    python tools/pack_text.py

Written to src/innerloop/datasets/packed/text.txt: the pages of `FOLDERS` in order, in lower
case, with every digit as 0, every run of white space as one space, and every other symbol that
is not among `SYMBOLS` of `innerloop.datasets.text` left out. Results on tasks of text are of the
file as it is: packing it anew makes other problems.
"""

import re
from pathlib import Path

from innerloop.datasets.text import SYMBOLS

ROOT = Path(__file__).parent.parent
FOLDERS = ("decisions", "how-to", "log")
PACKED = ROOT / "src" / "innerloop" / "datasets" / "packed" / "text.txt"


def main() -> None:
    pages = [page for folder in FOLDERS for page in sorted((ROOT / "docs" / folder).glob("*.md"))]
    PACKED.write_text(packed(" ".join(page.read_text(encoding="utf-8") for page in pages)) + "\n")


def packed(text: str) -> str:
    """`text` in the symbols of the dataset."""
    text = re.sub(r"\d", "0", text.lower())
    text = re.sub(r"\s+", " ", text)
    return re.sub(r" +", " ", "".join(each for each in text if each in SYMBOLS)).strip()


if __name__ == "__main__":
    main()
