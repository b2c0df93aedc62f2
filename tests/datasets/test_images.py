"""Image files in folders and zips, whatever they hold."""

import io
import os
import struct
import time
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from innerloop import InnerloopError
from innerloop.datasets.images import ImageStore, convert_all, decode, square


def encoded(picture, kind="png"):
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def shade(number, size=(4, 3)):
    return encoded(Image.new("RGB", size, (number, number, number)))


def store(tmp_path, where, files):
    """`files` (name → bytes) in a folder, or in a zip."""
    root = tmp_path / "store"
    if where == "zip":
        with zipfile.ZipFile(root, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
    return ImageStore(root)


@pytest.fixture(params=["folder", "zip"])
def where(request):
    return request.param


def test_images_are_named_in_order_and_nothing_else_is(tmp_path, where):
    files = {"b/2.PNG": b"", "a/10.jpg": b"", "a/1.webp": b"", "b/notes.txt": b"", "png": b""}
    assert store(tmp_path, where, files).names == ["a/1.webp", "a/10.jpg", "b/2.PNG"]


def test_all_files_and_folders_are_named_too(tmp_path, where):
    files = {"b/c/2.png": b"", "a/notes.txt": b"", "list.txt": b""}
    found = store(tmp_path, where, files)
    assert found.files == ["a/notes.txt", "b/c/2.png", "list.txt"]
    assert found.folders == ["a", "b", "b/c"]


def test_images_come_in_the_order_they_are_asked_for(tmp_path, where):
    files = {f"{number}.png": shade(number) for number in range(20)}
    names = [f"{number}.png" for number in (7, 3, 19, 3)]
    images = store(tmp_path, where, files).images(names, (3, 4))
    assert images.shape == (4, 3, 4, 3) and images[:, 0, 0, 0].tolist() == [7, 3, 19, 3]


def test_no_names_give_no_images(tmp_path, where):
    assert store(tmp_path, where, {"a.png": shade(1)}).images([], (3, 4)).shape == (0, 3, 4, 3)


def test_an_image_of_another_size_is_named(tmp_path, where):
    files = {"good.png": shade(1), "odd.png": shade(1, (5, 3))}
    with pytest.raises(InnerloopError, match=r"odd.png in .* is 5×3 pixels; 4×3 are wanted"):
        store(tmp_path, where, files).images(files, (3, 4))


def test_a_file_that_is_not_there_is_named(tmp_path, where):
    with pytest.raises(InnerloopError, match=r"b.png in .* cannot be read"):
        store(tmp_path, where, {"a.png": b""}).read("b.png")


def test_no_more_than_the_largest_file_is_unpacked(tmp_path, where, monkeypatch):
    monkeypatch.setattr("innerloop.datasets.images.LARGEST_FILE", 1000)
    found = store(tmp_path, where, {"small.png": bytes(1000), "bomb.png": bytes(1001)})
    assert found.read("small.png") == bytes(1000)
    with pytest.raises(InnerloopError, match=r"bomb.png in .* is larger than 1000 bytes"):
        found.read("bomb.png")


def test_a_damaged_member_of_a_zip_is_named(tmp_path):
    found = store(tmp_path, "zip", {"a.png": bytes(range(200))})
    content = bytearray(found.path.read_bytes())
    content[60] ^= 255
    found.path.write_bytes(content)
    with pytest.raises(InnerloopError, match=r"a.png in .* cannot be read"):
        ImageStore(found.path).read("a.png")


@pytest.mark.parametrize("content", [None, b"no zip"])
def test_what_is_neither_folder_nor_zip_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "odd").write_bytes(content)
    with pytest.raises(InnerloopError, match="odd is neither a folder nor a readable zip file"):
        ImageStore(tmp_path / "odd")


@pytest.mark.parametrize(
    ("picture", "wanted"),
    [
        (Image.new("L", (2, 2), 90), [90, 90, 90]),
        (Image.new("1", (2, 2), 1), [255, 255, 255]),
        (Image.new("RGBA", (2, 2), (1, 2, 3, 4)), [1, 2, 3]),
        (Image.new("RGB", (2, 2), (9, 8, 7)).quantize(4), [9, 8, 7]),
    ],
    ids=["grey", "black-and-white", "transparent", "palette"],
)
def test_every_kind_of_image_becomes_rgb(picture, wanted):
    pixels = decode(encoded(picture), "it")
    assert pixels.shape == (2, 2, 3) and pixels.dtype == np.uint8
    assert pixels[1, 1].tolist() == wanted


LEVELS = np.array([[0, 128], [200, 255]], np.uint8)
SIXTEEN = LEVELS.astype(np.uint16) * 257


def test_sixteen_bits_of_grey_are_as_eight():
    picture = encoded(Image.fromarray(SIXTEEN))
    assert Image.open(io.BytesIO(picture)).mode == "I;16"
    assert decode(picture, "it")[..., 0].tolist() == LEVELS.tolist()
    assert square(picture, "it", 2, True)[..., 0].tolist() == LEVELS.tolist()
    assert square(picture, "it", 2, False)[..., 2].tolist() == LEVELS.tolist()


def test_what_is_clear_in_sixteen_bits_is_white():
    stream = io.BytesIO()
    Image.fromarray(SIXTEEN).save(stream, "png", transparency=int(SIXTEEN[0, 0]))
    if "transparency" not in Image.open(io.BytesIO(stream.getvalue())).info:
        pytest.skip("this Pillow writes no transparency with 16 bits")
    assert square(stream.getvalue(), "it", 2, True)[..., 0].tolist() == [[255, 128], [200, 255]]


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "webp"])
def test_every_mode_that_can_be_saved_is_read_rightly(mode, kind):
    grey = Image.fromarray(np.repeat(np.repeat(LEVELS, 8, 0), 8, 1))
    if mode == "1":
        grey = grey.point(lambda level: 255 * (level > 150))
    wanted = np.asarray(grey, float)
    if mode in ("I;16", "I"):
        levels = np.asarray(grey).astype(np.uint16) * 257
        picture = Image.fromarray(levels if mode == "I;16" else levels.astype(np.int32))
    else:
        picture = grey.convert(mode)
    stream = io.BytesIO()
    try:
        picture.save(stream, kind)
    except (OSError, ValueError):
        pytest.skip("there are no such files")
    if mode.startswith("I") and not Image.open(stream).mode.startswith("I"):
        pytest.skip("Pillow clips it where it is saved")
    for found in (decode(stream.getvalue(), "it"), square(stream.getvalue(), "it", 16, False)):
        assert np.abs(found.mean(axis=2) - wanted).max() < 6


def test_a_mode_that_is_not_known_is_refused_by_name(monkeypatch):
    monkeypatch.setattr("innerloop.datasets.images._EIGHT_BITS", ("L",))
    for read in (decode, lambda content, what: square(content, what, 2, True)):
        with pytest.raises(InnerloopError, match="it has pixels of the mode RGB, which are not"):
            read(shade(1), "it")


@pytest.mark.parametrize("content", [b"", b"no picture", shade(1)[:50]])
def test_what_is_no_image_is_refused(content):
    with pytest.raises(InnerloopError, match="it is no readable image"):
        decode(content, "it")


def test_an_image_of_too_many_pixels_is_refused(monkeypatch):
    monkeypatch.setattr("innerloop.datasets.images.MOST_PIXELS", 11)
    with pytest.raises(InnerloopError, match="it has more than 11 pixels"):
        decode(shade(1), "it")


def test_files_that_are_others_or_have_changed_have_another_identity(tmp_path, where):
    files = {"a.png": shade(1), "b.png": shade(2)}
    found = store(tmp_path, where, files)
    one, two, both = (found.identity(names) for names in (["a.png"], ["b.png"], list(files)))
    assert len({one, two, both}) == 3
    assert ImageStore(found.path).identity(["a.png"]) == one
    moved = found.path.rename(tmp_path / "moved")
    assert ImageStore(moved).identity(["a.png"]) != one
    changed = moved.rename(found.path) if where == "zip" else moved.rename(found.path) / "a.png"
    os.utime(changed, ns=(0, 0))
    assert found.identity(["a.png"]) != one
    again = found.identity(["a.png"])
    changed.write_bytes(changed.read_bytes() + b"more")
    os.utime(changed, ns=(0, 0))
    assert found.identity(["a.png"]) != again


def test_a_file_that_has_gone_has_no_identity(tmp_path):
    with pytest.raises(InnerloopError, match=r"b.png cannot be read"):
        store(tmp_path, "folder", {"a.png": b""}).identity(["b.png"])


@pytest.mark.parametrize("progress", [True, False])
def test_all_are_converted_to_where_they_belong(capfd, progress):
    into = np.zeros((50, 2), np.uint8)
    names = [str(number) for number in range(50)]
    convert_all(names, lambda name: np.full(2, int(name), np.uint8), into, "digits", progress)
    assert np.array_equal(into, np.arange(50).repeat(2).reshape(50, 2))
    out, err = capfd.readouterr()
    assert not out and ("digits: 100%" in err and "50/50" in err) == progress
    assert bool(err) == progress


@pytest.mark.parametrize("stopped", [InnerloopError("no image"), KeyboardInterrupt()])
def test_after_an_error_nothing_more_is_begun(monkeypatch, stopped):
    begun = []

    def convert(name):
        begun.append(name)
        if name == "0" and isinstance(stopped, InnerloopError):
            raise stopped
        time.sleep(0.01)
        return np.uint8(0)

    def update(bar):  # Ctrl-C comes to the thread that counts.
        raise stopped

    monkeypatch.setattr("tqdm.tqdm.update", update)
    names = [str(number) for number in range(1000)]
    with pytest.raises(type(stopped)):
        convert_all(names, convert, np.zeros(1000, np.uint8), "digits", False)
    assert len(begun) < 500


def thirds(width=30, height=10):
    """Red, green and blue from left to right, or from top to bottom where that is longer."""
    picture = np.zeros((min(width, height), max(width, height), 3), np.uint8)
    for channel, part in enumerate(np.split(picture, 3, axis=1)):
        part[..., channel] = 255
    return Image.fromarray(picture if width > height else picture.transpose(1, 0, 2))


@pytest.mark.parametrize("size", [(30, 10), (10, 30)], ids=["wide", "high"])
def test_a_square_is_the_middle_of_an_image(size):
    found = square(encoded(thirds(*size)), "it", 10, False)
    assert found.shape == (10, 10, 3) and found.dtype == np.uint8
    assert (found == (0, 255, 0)).all()


def test_a_square_may_be_grey():
    found = square(encoded(thirds()), "it", 10, True)
    assert found.shape == (10, 10, 1) and (found == 150).all()  # Green's part of the luminance.


@pytest.mark.parametrize("side", [3, 40])
def test_a_square_has_the_side_that_is_asked_for(side):
    found = square(encoded(Image.linear_gradient("L").resize((24, 20))), "it", side, False)
    assert found.shape == (side, side, 3)
    assert (np.diff(found[:, 0, 0].astype(int)) >= 0).all() and found[0].max() < found[-1].min()


def test_a_square_is_averaged_and_not_sampled():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    found = square(encoded(Image.fromarray(stripes)), "it", 8, True)
    assert np.abs(found[:, 1:-1].astype(int) - 128).max() <= 2


def test_a_square_is_upright():
    lying, turned = Image.Exif(), Image.Exif()
    lying[0x0112], turned[0x0112] = 1, 6  # Upright; to be turned clockwise.
    picture = Image.fromarray(np.uint8([[10, 20], [30, 40]]).repeat(8, 0).repeat(8, 1))
    stream = io.BytesIO()
    picture.save(stream, "png", exif=turned)
    assert square(stream.getvalue(), "it", 16, True)[::8, ::8, 0].tolist() == [[30, 10], [40, 20]]
    stream = io.BytesIO()
    picture.save(stream, "png", exif=lying)
    assert square(stream.getvalue(), "it", 16, True)[::8, ::8, 0].tolist() == [[10, 20], [30, 40]]


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(monkeypatch):
    coarse = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    large = Image.fromarray(coarse).resize((960, 800), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    turned = Image.Exif()
    turned[0x0112] = 6
    large.save(stream, "jpeg", quality=95, exif=turned)
    found = square(stream.getvalue(), "it", 32, False)
    sizes = []
    draft = JpegImageFile.draft

    def whole(image, *_):
        sizes.append(image.size)

    monkeypatch.setattr(JpegImageFile, "draft", whole)
    expected = square(stream.getvalue(), "it", 32, False)
    assert np.abs(found.astype(int) - expected).max() <= 4
    # It is smaller before it is shrunk, and not so small that it would be enlarged.
    image = Image.open(stream)
    draft(image, None, (64, 64))
    assert image.size == (120, 100) and sizes == [(960, 800)]


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"avif"])
def test_a_photograph_as_telephones_save_them_is_named_and_refused(brand):
    content = b"\0\0\0\x18ftyp" + brand + bytes(40)
    with pytest.raises(InnerloopError, match=r"it is a HEIC photograph.*convert it to JPEG"):
        square(content, "it", 4, False)


@pytest.mark.parametrize("grey", [True, False])
def test_transparent_parts_of_a_square_are_white(grey):
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 4, 2))
    found = square(encoded(picture), "it", 4, grey)
    assert (found[0] == 0).all() and (found[3] == 255).all()


@pytest.mark.parametrize("content", [b"", b"no picture", shade(1)[:50]])
def test_a_square_of_what_is_no_image_is_refused(content):
    with pytest.raises(InnerloopError, match="it is no readable image"):
        square(content, "it", 4, False)


def test_a_square_has_pixels():
    with pytest.raises(InnerloopError, match="cannot be 0 pixels wide; one or more are wanted"):
        square(shade(1), "it", 0, False)


def test_a_square_of_too_many_pixels_is_refused(monkeypatch):
    monkeypatch.setattr("innerloop.datasets.images.MOST_PIXELS", 11)
    with pytest.raises(InnerloopError, match="it has more than 11 pixels"):
        square(shade(1), "it", 4, False)


@pytest.mark.parametrize("kind", ["gif", "tiff", "ppm", "tga", "ico", "pcx", "sgi"])
def test_no_decoder_is_reached_but_those_of_the_suffixes(kind):
    content = encoded(Image.new("RGB", (16, 16)), kind)
    for read in (decode, lambda content, what: square(content, what, 4, False)):
        with pytest.raises(InnerloopError, match="it is no readable image"):
            read(content, "it")


def chunk(kind, content):
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


@pytest.mark.parametrize("width", [8193, 10_000, 14_000, 30_000])
def test_a_bomb_is_refused_and_nothing_warned_of(width):
    header = struct.pack(">IIBBBBB", width, 8192, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", bytes(9))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(InnerloopError, match=r"more than 67108864 pixels|no readable image"):
            decode(content, "it")
    assert not said


def test_several_transparent_colours_of_a_palette_are_read():
    picture = Image.new("RGB", (2, 2), (9, 8, 7)).quantize(4)
    stream = io.BytesIO()
    picture.save(stream, "png", transparency=bytes([5, 100, 200]))
    assert decode(stream.getvalue(), "it")[1, 1].tolist() == [9, 8, 7]


def test_a_broken_exif_is_no_warning():
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "jpeg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\0junk")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        assert square(stream.getvalue(), "it", 4, False).shape == (4, 4, 3)
        assert warnings.filters == before
    assert not said


def zip_of(path, names):
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            archive.writestr(name, b"")
    return path


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.png", "a.png"], "holds a.png twice; once is enough"),
        (["a/" * 33 + "b.png"], "512 characters and 32 folders"),
        (["a" * 513], "512 characters and 32 folders"),
    ],
)
def test_names_in_a_zip_are_sensible(tmp_path, names, words):
    with pytest.raises(InnerloopError, match=words):
        ImageStore(zip_of(tmp_path / "my.zip", names))


def test_a_zip_of_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("innerloop.datasets.images.MOST_FILES", 3)
    with pytest.raises(InnerloopError, match="holds 4 files; up to 3 can be read"):
        ImageStore(zip_of(tmp_path / "my.zip", "abcd"))


def test_a_zip_of_another_packing_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "my.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.png", shade(1))
    with pytest.raises(InnerloopError, match=r"a.png in .* another method than Deflate"):
        ImageStore(tmp_path / "my.zip").read("a.png")


def test_a_zip_whose_directory_is_damaged_is_refused(tmp_path):
    content = bytearray(zip_of(tmp_path / "my.zip", ["a.png"]).read_bytes())
    version = content.index(b"PK\x01\x02") + 6
    content[version] = 200  # What it takes to read it: a later zip than any.
    (tmp_path / "my.zip").write_bytes(content)
    with pytest.raises(InnerloopError, match="neither a folder nor a readable zip file"):
        ImageStore(tmp_path / "my.zip")


# Found by tests/fuzz: Python looks at a name's last character.
def test_a_file_without_a_name_is_refused(tmp_path):
    content = bytearray(zip_of(tmp_path / "my.zip", ["a"]).read_bytes())
    lengths = content.index(b"PK\x01\x02") + 28
    content[lengths : lengths + 4] = b"\0\0\1\0"  # The name is something extra instead.
    (tmp_path / "my.zip").write_bytes(content)
    with pytest.raises(InnerloopError, match="holds a file without a name"):
        ImageStore(tmp_path / "my.zip")
