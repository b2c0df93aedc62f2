"""Image files in folders and zips, whatever they hold."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from innerloop import InnerloopError
from innerloop.data.images import ImageStore, decode


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
    monkeypatch.setattr("innerloop.data.images._LARGEST_FILE", 1000)
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


@pytest.mark.parametrize("content", [b"", b"no picture", shade(1)[:50]])
def test_what_is_no_image_is_refused(content):
    with pytest.raises(InnerloopError, match="it is no readable image"):
        decode(content, "it")


def test_an_image_of_too_many_pixels_is_refused(monkeypatch):
    monkeypatch.setattr("innerloop.data.images._MOST_PIXELS", 11)
    with pytest.raises(InnerloopError, match="it has more than 11 pixels"):
        decode(shade(1), "it")
