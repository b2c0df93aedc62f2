"""The readers, what each is fed, and when what it returns is right.

A reader is fed inputs that are nearly right. It returns what they say that they hold, or raises an
`InnerloopError`; it never raises anything else, warns, or takes long.
"""

import dataclasses
import hashlib
import io
import json
import lzma
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
import safetensors.numpy
from PIL import Image

from fuzz.mutations import made, mutated, mutated_json
from helpers import SHAPE, learner, lstm
from innerloop import InnerloopError, fewshot, load, save
from innerloop.datasets import images, mnist, omniglot
from innerloop.datasets.miniimagenet import MiniImageNet
from innerloop.rules import MultiRule, PerTensorRule
from innerloop.runtime import storage as tensors

BUDGET = {
    "idx": 20_000,
    "safetensors": 20_000,
    "headers of rules": 2_000,
    "headers of learners": 1_000,
    "CSVs": 15_000,
    "Omniglot": 10_000,
    "images": 22_000,
    "zips": 10_000,
}
"""How many inputs `make test-all` feeds to each reader."""

FOLDER = Path(tempfile.mkdtemp(prefix="innerloop-fuzz-"))
LONGEST_MESSAGE = 2000


def outcome(read: Callable[..., Any], *arguments: Any) -> Any:
    """What `read` returns; None where it refuses its input as it should."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            result = read(*arguments)
        except InnerloopError as error:
            assert 10 < len(str(error)) < LONGEST_MESSAGE
            result = None
    assert not said, said[0].message
    return result


def written(name: str, content: bytes) -> Path:
    (FOLDER / name).write_bytes(content)
    return FOLDER / name


# idx


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


IDX = [idx(np.zeros(shape, np.uint8)) for shape in [(3,), (2, 3, 4), (0, 5), (1,) * 6, (2, 28, 28)]]
LENGTHS = (0, 0, 1, 1, 2, 3, 255, 2**16, 2**31, 2**32 - 1)


def changed_idx(random):
    if random.random() < 0.5:
        return mutated(random, IDX)
    lengths = random.choices(LENGTHS, k=random.randrange(random.choice([5, 80])))
    header = bytes([0, 0, 8, len(lengths)]) + b"".join(n.to_bytes(4, "big") for n in lengths)
    return header + random.randbytes(random.choice([0, 0, 1, 4, 12]))


def check_idx(content):
    array = outcome(mnist.parse_idx, content)
    assert array is None or (array.dtype == np.uint8 and idx(array) == content)


# Safetensors


def packed(header, metadata, data):
    entries = {**header, "__metadata__": metadata}
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + data


def unpacked(content):
    """(entries, what innerloop says in them, the arrays' bytes)."""
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length])
    said = json.loads(entries.pop("__metadata__")["innerloop"])
    return entries, said, content[8 + length :]


def small_rules():
    key = jax.random.key(0)
    both = {"a": lstm(hidden=2, depth=1), "b": PerTensorRule(key=key, hidden=1)}
    rules = [PerTensorRule(key=key, hidden=2), lstm(hidden=2), MultiRule(both)]
    return [save(rule, FOLDER / "small.safetensors").read_bytes() for rule in rules]


def small_learners():
    contents = []
    for method in ("protonet", "maml", "meta-lstm", "finetune", "nearest-neighbour"):
        recipe = fewshot.Recipe(method=method, data="own", shape=SHAPE, settings={"filters": 3})
        path = fewshot.save(learner(method), recipe, FOLDER / "small.safetensors")
        contents.append(path.read_bytes())
    return contents


RULES = small_rules()
LEARNERS = small_learners()
DTYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "U8": np.uint8, "F16": np.float16}


def changed_entries(random):
    """A file whose header says other shapes, types and places; its length is right."""
    entries, said, data = unpacked(random.choice(RULES))
    entries = mutated_json(random, entries)
    metadata = {"innerloop": json.dumps(said)}
    if random.random() < 0.3:
        metadata = mutated_json(random, metadata, most=1)
    return packed(entries, metadata, data)


def changed_header(random, contents):
    """A file whose settings are others; everything else is right."""
    entries, said, data = unpacked(random.choice(contents))
    return packed(entries, {"innerloop": json.dumps(mutated_json(random, said))}, data)


def changed_safetensors(random):
    kind = random.randrange(3)
    if kind == 0:
        return mutated(random, RULES)
    return changed_entries(random) if kind == 1 else changed_header(random, RULES)


def check_safetensors(content):
    found = outcome(tensors.read, written("one.safetensors", content))
    if found is None:
        return
    _, arrays = found
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length])
    entries.pop("__metadata__")
    assert set(arrays) == set(entries)
    for name, array in arrays.items():
        assert array.shape == tuple(entries[name]["shape"])
        assert array.dtype == DTYPES.get(entries[name]["dtype"], array.dtype)


def fits(found, content):
    """Whether a tree has the very arrays of a file, finite every one of them."""
    mine = {name: np.asarray(leaf) for name, leaf in tensors.named_leaves(found).items()}
    theirs = safetensors.numpy.load(content)
    assert mine.keys() == theirs.keys()
    for name, array in mine.items():
        assert array.shape == theirs[name].shape and array.dtype == theirs[name].dtype
        assert np.isfinite(array).all()


def check_rule(content):
    rule = outcome(load, written("rule.safetensors", content))
    if rule is None:
        return
    fits(rule, content)
    for part in rule.rules.values() if isinstance(rule, MultiRule) else [rule]:
        assert type(part.hidden) is int and part.hidden >= 1


def check_learner(content):
    found = outcome(fewshot.load, written("learner.safetensors", content))
    if found is None:
        return
    made, recipe = found
    fits(made, content)
    assert isinstance(recipe.data, str) and type(recipe.split_seed) is int
    assert all(type(size) is int and size > 0 for size in dataclasses.asdict(recipe.shape).values())


# miniImageNet's lists


NAMES = [f"{letter}.png" for letter in "abcdé"]
CSVS = [
    text.encode()
    for text in (
        "filename,label\n" + "".join(f"{name},class{name[0]}\n" for name in NAMES),
        'label,filename\r\n"cat, large",a.png\r\n"d""og",b.png\r\n',
        "filename,label,more\na.png,cat,1\n\nb.png,dog\n",
        "filename,label\n" + "a.png,cat\x00\nb.png,\n" + "x" * 300,
    )
]


def mini_folder():
    root = FOLDER / "mini"
    (root / "images").mkdir(parents=True)
    for name in NAMES:
        (root / "images" / name).touch()
    return root


MINI = mini_folder()


def without(text):
    """A text without what CSVs put around a value, or read as one."""
    return "".join(char for char in text if char not in '"\r\n')


def check_csv(content):
    (MINI / "train.csv").write_bytes(content)
    found = outcome(MiniImageNet, "train", MINI)
    if found is None:
        return
    assert len(found.names) == len(found.labels) == len(set(found.names)) <= len(NAMES)
    assert set(found.names) <= {f"images/{name}" for name in NAMES}
    assert all(isinstance(label, str) and label for label in found.labels)
    text = without(content.decode("utf-8", errors="replace"))
    assert all(without(label) in text for label in found.labels)


# Omniglot, with few characters


ALPHABETS = {**dict.fromkeys(omniglot._VALIDATION, 1), "Latin": 2, "Greek": 1}
CHARACTERS = sum(ALPHABETS.values())
PIXELS = np.random.default_rng(0).integers(0, 2, CHARACTERS * 20 * 14 * 105, np.uint8).tobytes()
PACKED_PIXELS = [
    lzma.compress(PIXELS, preset=0),
    lzma.compress(PIXELS[:-105], preset=0),
    lzma.compress(PIXELS + bytes(1 << 20), preset=0),
    lzma.compress(bytes(len(PIXELS)), preset=0),
]


def changed_omniglot(random):
    """(description, packed): sound but for what was changed; the digest is often right."""
    content = random.choice(PACKED_PIXELS)
    if random.random() < 0.5:
        content = mutated(random, PACKED_PIXELS)
    description = {"sha256": hashlib.sha256(PACKED_PIXELS[0]).hexdigest(), "alphabets": ALPHABETS}
    if random.random() < 0.7:
        description["sha256"] = hashlib.sha256(content).hexdigest()
    if random.random() < 0.5:
        description = mutated_json(random, description)
    text = json.dumps(description).encode()
    return mutated(random, [text]) if random.random() < 0.25 else text, content


def check_omniglot(files):
    folder = FOLDER / "datasets" / "packed"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "omniglot.json").write_bytes(files[0])
    (folder / "omniglot.xz").write_bytes(files[1])
    with (
        mock.patch.object(omniglot.resources, "files", lambda package: FOLDER),
        mock.patch.multiple(omniglot, _CHARACTERS=CHARACTERS, _TEST=1),
    ):
        found = outcome(omniglot._published)
        if found is None:
            return
        drawings, names = found
        assert drawings.shape == (CHARACTERS, 20, 14, 105) and drawings.dtype == np.uint8
        assert len(names) == len(set(names)) == CHARACTERS
        for split in ("train", "validation", "test"):
            classes = outcome(lambda split=split: omniglot.load_omniglot(split, rotations=False))
            assert classes is not None and classes.images.shape[1:] == (28, 28, 1)


# Images


def drawn(mode, kind, **settings):
    random = np.random.default_rng(1).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(random).convert(mode).save(stream, kind, **settings)
    return stream.getvalue()


EXIF = Image.Exif()
EXIF[0x0112], EXIF[0x010F] = 6, "a camera"
PICTURES = [
    *(drawn(mode, "png") for mode in ("RGB", "RGBA", "L", "LA", "1", "I;16")),
    drawn("P", "png", transparency=bytes(range(200))),
    drawn("P", "png", transparency=1),
    drawn("RGB", "png", exif=EXIF),
    drawn("RGB", "jpeg", exif=EXIF),
    drawn("L", "jpeg", progressive=True),
    drawn("CMYK", "jpeg"),
    *(drawn(mode, "bmp") for mode in ("RGB", "P", "1")),
    drawn("RGB", "webp", exif=EXIF),
    drawn("RGBA", "webp", lossless=True),
    *(drawn("RGB", kind) for kind in ("gif", "tiff", "ppm", "tga", "ico", "pcx", "sgi")),
]


def check_image(content):
    with mock.patch.object(images, "MOST_PIXELS", 1 << 16):
        decoded = outcome(images.decode, content, "it")
        squares = [outcome(images.square, content, "it", 4, grey) for grey in (False, True)]
    for square, channels in zip(squares, (3, 1), strict=True):
        assert square is None or (square.shape, square.dtype) == ((4, 4, channels), np.uint8)
    if decoded is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(content)) as image:
            assert image.format in ("PNG", "JPEG", "MPO", "BMP", "DIB", "WEBP")
            assert decoded.shape == (image.height, image.width, 3) and decoded.dtype == np.uint8


def zipped(files, packing=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as packed:
        for name, content in files.items():
            packed.writestr(zipfile.ZipInfo(name), content, packing)
    return stream.getvalue()


IN_ZIP = {"train/a/1.png": PICTURES[0], "train/é/2.jpg": PICTURES[9], "note.txt": b"hello " * 9}
ZIPS = [
    zipped(IN_ZIP),
    *(zipped(IN_ZIP, packing) for packing in (zipfile.ZIP_STORED, zipfile.ZIP_LZMA)),
    zipped({**IN_ZIP, "../../out.png": PICTURES[0], "/" * 40 + "a.png": b""}),
]


def changed_zip(random):
    if random.random() < 0.5:
        return mutated(random, ZIPS)
    return zipped({"train/a/1.png": mutated(random, PICTURES), "b.png": PICTURES[0]})


def check_zip(content):
    store = outcome(images.ImageStore, written("images.zip", content))
    if store is None:
        return
    assert store.names == sorted(set(store.names)) and set(store.names) <= set(store.files)
    for name in store.files:
        outcome(store.read, name)
    for name in store.names:
        found = outcome(store.image, name, (6, 5))
        assert found is None or (found.shape, found.dtype) == ((6, 5, 3), np.uint8)


READERS = {
    "idx": (made(changed_idx), check_idx),
    "safetensors": (made(changed_safetensors), check_safetensors),
    "headers of rules": (made(lambda random: changed_header(random, RULES)), check_rule),
    "headers of learners": (made(lambda random: changed_header(random, LEARNERS)), check_learner),
    "CSVs": (made(lambda random: mutated(random, CSVS)), check_csv),
    "Omniglot": (made(changed_omniglot), check_omniglot),
    "images": (made(lambda random: mutated(random, PICTURES)), check_image),
    "zips": (made(changed_zip), check_zip),
}
"""Name → (what is fed to it, what must be true of every input)."""
