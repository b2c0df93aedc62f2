"""Neural art: every term of its loss by itself, VGG's layers, and whose photographs are whose."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import close, small_art
from innerloop import InnerloopError
from innerloop.tasks import NeuralArt
from innerloop.tasks.neural_art import PARTS, _photographs

pytestmark = pytest.mark.usefixtures("float64")

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
NOTHING = {"content_weight": 0.0, "style_weight": 0.0, "smooth_weight": 0.0}


@pytest.fixture
def problem_of(key):
    return lambda task: task.sample(key=key)


def noise(seed=0, side=16):
    return jax.random.uniform(jax.random.key(seed), (3, side, side))


def test_a_photograph_has_its_own_content(monkeypatch, key, problem_of):
    art = small_art(monkeypatch, **{**NOTHING, "content_weight": 1.0})
    problem = problem_of(art)
    assert art.loss(problem.pixels, problem, key=key) < 1e-9
    assert art.loss(noise(), problem, key=key) > 0.01


def test_a_painting_has_its_own_style(monkeypatch, key, problem_of):
    small_art(monkeypatch)
    painting = np.random.default_rng(3).uniform(0, 1, (16, 16, 3)).astype(np.float32)
    monkeypatch.setattr("innerloop.tasks.neural_art.load_painting", lambda *_: painting)
    art = NeuralArt(size=16, factor=1.0, **{**NOTHING, "style_weight": 1.0})
    problem = problem_of(art)
    assert art.loss(jnp.asarray(painting.transpose(2, 0, 1)), problem, key=key) < 1e-9
    assert art.loss(problem.pixels**2, problem, key=key) > 0.01


def test_style_is_blind_to_where_things_are(monkeypatch, key, problem_of):
    art = small_art(monkeypatch, layers=1, **{**NOTHING, "style_weight": 1.0})
    problem = problem_of(art)
    # Zero padding, which is what the borders see, is the mean colour.
    framed = jnp.broadcast_to(jnp.asarray(MEAN)[:, None, None], (3, 16, 16))
    framed = framed.at[:, 2:14, 2:14].set(noise(side=12))
    moved = jnp.roll(framed, (1, -1), axis=(1, 2))
    here, there = (art.loss(pixels, problem, key=key) for pixels in (framed, moved))
    close(there, here, additions=10_000, dtype="float32")
    assert abs(art.loss(noise(1), problem, key=key) - here) > 1e-3 * here


def test_smoothness_is_the_mean_squared_difference_of_neighbours(monkeypatch, key, problem_of):
    art = small_art(monkeypatch, factor=3.0, **{**NOTHING, "smooth_weight": 2.0})
    stripes = jnp.broadcast_to(jnp.arange(16) % 2 * 1.0, (3, 16, 16))
    problem = problem_of(art)
    close(art.loss(stripes, problem, key=key), np.asarray(3 * 2 * 1.0), additions=1000)
    assert art.loss(jnp.full((3, 16, 16), 0.7), problem, key=key) == 0


def test_the_terms_add_up(monkeypatch, key):
    weights = {"content_weight": 2.0, "style_weight": 3.0, "smooth_weight": 5.0}

    def loss(**settings):
        art = small_art(monkeypatch, **settings)
        return float(art.loss(noise(), art.sample(key=key), key=key))

    terms = [loss(**{**NOTHING, name: weight}) for name, weight in weights.items()]
    assert min(terms) > 0
    assert loss(factor=10.0, **weights) == pytest.approx(10 * sum(terms), rel=1e-5)


def test_the_gradient_is_that_of_finite_differences(monkeypatch, key, problem_of):
    art = small_art(monkeypatch)
    problem, pixels, step = problem_of(art), noise(), 1e-6
    loss = jax.jit(lambda pixels: art.loss(pixels, problem, key=key))
    gradient = jax.grad(loss)(pixels)
    for place in [(0, 0, 0), (1, 7, 8), (2, 15, 3)]:
        slope = (loss(pixels.at[place].add(step)) - loss(pixels.at[place].add(-step))) / (2 * step)
        tolerance = 1e-5 * float(jnp.abs(gradient).max())
        np.testing.assert_allclose(gradient[place], slope, atol=tolerance)


def convolved(units, kernel, bias):
    """A layer of VGG, one pixel and one filter after another; channels first."""
    channels, height, width = units.shape
    padded = np.zeros((channels, height + 2, width + 2))
    padded[:, 1:-1, 1:-1] = units
    found = np.zeros((len(kernel), height, width))
    for filters, row, column in itertools.product(*map(range, found.shape)):
        patch = padded[:, row : row + 3, column : column + 3].transpose(1, 2, 0)
        found[filters, row, column] = np.sum(patch * kernel[filters]) + bias[filters]
    return np.maximum(found, 0)


def test_features_are_those_of_convolutions_written_out(monkeypatch):
    art = small_art(monkeypatch)
    pixels = np.asarray(noise())
    units = (pixels - np.reshape(MEAN, (3, 1, 1))) / np.reshape(DEVIATION, (3, 1, 1))
    found = art.features(jnp.asarray(pixels))
    assert len(found) == 3
    for number, (kernel, bias) in enumerate(art.network):
        if number == 2:  # Where the first pooling is.
            units = units.reshape(-1, 8, 2, 8, 2).max(axis=(2, 4))
        units = convolved(units, np.asarray(kernel), np.asarray(bias))
        # The colours' means and deviations are float32.
        close(found[number], units.transpose(1, 2, 0), additions=100, dtype="float32")


def test_a_problem_is_one_of_the_photographs_and_starts_from_noise(monkeypatch, key):
    art = small_art(monkeypatch)
    keys = jax.random.split(key, 60)
    drawn = np.round(255 * np.stack([art.sample(key=k).pixels for k in keys]))
    places = [np.flatnonzero((one == art.photographs).all((1, 2, 3))).item() for one in drawn]
    assert set(places) == set(range(6))
    start = art.init(art.sample(key=key), key=key)
    assert start.shape == (3, 16, 16) and 0 <= start.min() < 0.05 and 0.95 < start.max() <= 1


SETTINGS = {
    "style": "wave",
    "size": 32,
    "layers": 2,
    "content_weight": 0.5,
    "style_weight": 2.0,
    "smooth_weight": 3.0,
    "factor": 7.0,
    "data_dir": "somewhere",
}


def test_a_split_keeps_the_settings_and_has_other_photographs(monkeypatch):
    art = small_art(monkeypatch, **SETTINGS)
    assert art.split("train") is art
    for part, count in (("validation", 3), ("test", 4)):
        other = art.split(part)
        assert {name: getattr(other, name) for name in SETTINGS} == SETTINGS
        assert other.part == part and other.photographs.shape == (count, 3, 32, 32)
        assert other.split("train").photographs.shape == art.photographs.shape


def test_parts_share_no_photographs():
    places = [set(range(*PARTS[part])) for part in ("train", "validation", "test")]
    assert [len(part) for part in places] == [1800, 400, 2000]
    assert len(set.union(*places)) == 4200


class Shades:
    """Eight photographs in place of miniImageNet's, each of one shade of grey."""

    def __init__(self, split, data_dir):
        assert split == "train"
        self.names = [f"{number}" for number in range(8)]
        self.store = self
        self.path = data_dir

    def images(self, names, size):
        shades = np.asarray([30 * int(name) for name in names], np.uint8)
        return np.broadcast_to(shades[:, None, None, None], (len(names), *size, 3)).copy()


def test_photographs_are_read_part_by_part_in_an_order_that_stays(monkeypatch):
    monkeypatch.setattr("innerloop.tasks.neural_art.MiniImageNet", Shades)
    parts = {"train": (0, 4), "validation": (4, 6), "test": (6, 8)}
    monkeypatch.setattr("innerloop.tasks.neural_art.PARTS", parts)
    shades = []
    for part, (first, last) in parts.items():
        photographs = _photographs(part, 16, None)
        assert photographs.shape == (last - first, 3, 16, 16) and photographs.dtype == np.uint8
        assert np.array_equal(photographs, _photographs(part, 16, None))
        shades += photographs[:, 0, 0, 0].tolist()
    assert sorted(shades) == list(range(0, 240, 30)) and shades != sorted(shades)


def test_too_few_photographs_are_refused(monkeypatch):
    monkeypatch.setattr("innerloop.tasks.neural_art.MiniImageNet", Shades)
    with pytest.raises(InnerloopError, match="few has 8 training images; neural art needs 1800"):
        _photographs("train", 16, "few")


@pytest.mark.parametrize(
    "setting",
    [
        {"size": 8},
        {"size": 24},
        {"content_weight": -1.0},
        {"style_weight": -0.1},
        {"smooth_weight": float("nan")},
        {"factor": 0.0},
        {"factor": float("nan")},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(monkeypatch, setting):
    ((name, value),) = setting.items()
    with pytest.raises(InnerloopError, match=f"{name} is {value}; it must"):
        small_art(monkeypatch, **setting)
