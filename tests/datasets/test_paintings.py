"""Paintings: from a file, by name, and the square that is taken of them."""

import numpy as np
import pytest
from PIL import Image

from innerloop import InnerloopError
from innerloop.datasets.paintings import load_painting


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    monkeypatch.delenv("INNERLOOP_DATA", raising=False)


def stripes(path, size=(30, 10)):
    """Three stripes across the longer side: red, green, blue."""
    picture = np.zeros((max(size), min(size), 3), np.uint8)
    for stripe, part in enumerate(np.split(picture, 3)):
        part[..., stripe] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture if size[0] < size[1] else picture.transpose(1, 0, 2)).save(path)
    return path


@pytest.mark.parametrize("size", [(30, 10), (10, 30)])
def test_the_middle_square_is_taken(tmp_path, size):
    painting = load_painting(stripes(tmp_path / "own.png", size), 10)
    assert painting.dtype == np.float32
    assert np.array_equal(painting, np.broadcast_to(np.float32([0, 1, 0]), (10, 10, 3)))


@pytest.mark.parametrize("side", [4, 64])
def test_it_is_brought_to_the_size_that_is_asked_for(tmp_path, side):
    Image.linear_gradient("L").resize((24, 20)).save(tmp_path / "gradient.png")
    painting = load_painting(tmp_path / "gradient.png", side)
    assert painting.shape == (side, side, 3)
    assert 0 <= painting[0].max() < 0.2 and 0.8 < painting[-1].min() <= 1


@pytest.mark.parametrize("place", ["wave.png", "style/wave.bmp"])
def test_a_name_is_looked_for_in_the_data_folder(tmp_path, monkeypatch, place):
    stripes(tmp_path / place)
    assert load_painting("wave", 10, tmp_path)[0, 0].tolist() == [0, 1, 0]
    monkeypatch.setenv("INNERLOOP_DATA", str(tmp_path))
    assert load_painting("wave", 10)[0, 0].tolist() == [0, 1, 0]


def test_a_name_that_is_nowhere_gets_those_that_are_there(tmp_path):
    stripes(tmp_path / "style" / "wave.png")
    stripes(tmp_path / "scream.png")
    (tmp_path / "notes.txt").write_text("no painting")
    with pytest.raises(
        InnerloopError, match=r"no painting 'mona_lisa': .* names \(scream, wave\)\.$"
    ):
        load_painting("mona_lisa", 10, tmp_path)
    with pytest.raises(
        InnerloopError, match=r"no painting 'mona_lisa': .* INNERLOOP_DATA names\.$"
    ):
        load_painting("mona_lisa", 10)


def test_every_name_that_is_offered_can_be_had(tmp_path):
    stripes(tmp_path / "WAVE.PNG")
    with pytest.raises(InnerloopError, match=r"names \(WAVE\)"):
        load_painting("mona_lisa", 10, tmp_path)
    assert load_painting("WAVE", 10, tmp_path).shape == (10, 10, 3)


def test_what_is_no_image_is_named(tmp_path):
    (tmp_path / "wave.png").write_bytes(b"no picture")
    with pytest.raises(InnerloopError, match=r"wave.png is no readable image"):
        load_painting("wave", 10, tmp_path)
