"""The families for meta-training: what each of them promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import few_grey8, small_images8
from innerloop import Quadratic
from innerloop.datasets.cifar10 import CIFAR10Data
from innerloop.datasets.grey8 import load_grey8, shrunk
from innerloop.errors import InnerloopError, SettingsError
from innerloop.tasks.convolution8 import convolved
from innerloop.tasks.images8 import Images8
from innerloop.tasks.logistic import Logistic
from innerloop.tasks.mixture import Mixture, families_of
from innerloop.tasks.random_projection import RandomProjection
from innerloop.tasks.rescaled import Rescaled
from innerloop.tasks.teacher_student import TeacherStudent
from innerloop.tasks.tiny_transformer import TinyTransformer


def begin(task, key=0):
    sample_key, init_key = jax.random.split(jax.random.key(key))
    problem = task.sample(key=sample_key)
    return problem, task.init(problem, key=init_key)


def test_images_are_averaged_over_areas():
    images = np.zeros((1, 28, 28), np.uint8)
    images[0, :7, :7] = 200  # Exactly two pixels of 3.5 on each side.
    expected = np.zeros((8, 8))
    expected[:2, :2] = 200
    np.testing.assert_array_equal(shrunk(images)[0], expected)
    colours = np.zeros((1, 32, 32, 3), np.uint8)
    colours[..., 0] = 90
    np.testing.assert_array_equal(shrunk(colours), np.full((1, 8, 8), 30))


def test_classes_of_a_dataset_take_turns(monkeypatch):
    labels = np.repeat(np.arange(10, dtype=np.uint8), 5)
    images = np.broadcast_to(labels[:, None, None, None], (50, 32, 32, 3)).copy()
    data = CIFAR10Data(images, labels, images, labels)
    monkeypatch.setattr("innerloop.datasets.grey8.load_cifar10", lambda data_dir: data)
    monkeypatch.setattr("innerloop.datasets.grey8.IMAGES", 30)
    found = load_grey8("cifar10")
    np.testing.assert_array_equal(found.labels, np.tile(np.arange(10), 3))
    np.testing.assert_array_equal(found.images[:, 0, 0], found.labels)
    with pytest.raises(SettingsError, match="mnist, omniglot"):
        load_grey8("nist")


def test_alphabets_of_omniglot_are_classes():
    found = load_grey8("omniglot")
    assert found.images.shape == (4000, 8, 8)
    np.testing.assert_array_equal(np.bincount(found.labels), np.full(10, 400))


def test_every_source_is_drawn_and_its_pixels_have_mean_0_and_variance_1(monkeypatch):
    task = small_images8(monkeypatch)
    drawn = {int(task.sample(key=key)) for key in jax.random.split(jax.random.key(0), 64)}
    assert drawn == {0, 1, 2, 3}
    pixels, _ = task.data.minibatch(jnp.asarray(1), 2000, jax.random.key(0))
    np.testing.assert_allclose([jnp.mean(pixels), jnp.std(pixels)], [0, 1], atol=0.05)


def test_a_convolution_is_the_one_of_lax():
    units = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 5))
    expected = jax.lax.conv_general_dilated(
        units, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(convolved(units, kernel), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "low", "high"),
    [
        (lambda: TeacherStudent(), 0.5, 5),
        (lambda: RandomProjection(), 1, 6),
        (lambda: Logistic(), 0.4, 1.5),
        (lambda: TinyTransformer(), 1.5, 5),
    ],
)
def test_losses_begin_at_about_1(make, low, high):
    task = make()

    def loss(key):
        problem, params = begin(task, 0)
        return task.loss(params, problem, key=key)

    losses = jax.vmap(loss)(jax.random.split(jax.random.key(0), 16))
    assert low < float(jnp.mean(losses)) < high


def test_a_student_that_is_the_teacher_has_no_loss():
    task = TeacherStudent(teacher=5, hidden=5)
    problem, _ = begin(task)
    params = [(problem.first, jnp.zeros(5)), (problem.second, jnp.zeros(4))]
    assert float(task.loss(params, problem, key=jax.random.key(0))) == 0


def test_a_transformer_sees_the_past_alone():
    task = TinyTransformer(batch=1)
    problem, params = begin(task)

    def slope(key):
        return jax.grad(task.loss)(params, problem, key=key)

    # The first prediction cannot use later positions, the last uses all of them.
    gradient = slope(jax.random.key(0))["positions"]
    assert np.all(np.any(np.asarray(gradient) != 0, axis=1))
    sequence = task._sequence(problem, jax.random.key(1))
    assert sequence.shape == (task.length + 1,)


@pytest.mark.parametrize("decades", [1.0, 3.0])
def test_a_rescaled_problem_is_the_same_problem_in_another_unit(decades):
    family = Rescaled(Quadratic(3), decades)
    problem, params = begin(family)
    inner = params / problem.scale
    loss, gradient = jax.value_and_grad(family.loss)(params, problem, key=jax.random.key(0))
    posed = jax.value_and_grad(family.family.loss)(inner, problem.problem, key=jax.random.key(0))
    np.testing.assert_allclose(loss, posed[0], rtol=1e-5)
    np.testing.assert_allclose(gradient * problem.scale, posed[1], rtol=1e-4)
    keys = jax.random.split(jax.random.key(0), 400)
    exponents = np.log10(jax.vmap(lambda key: family.sample(key=key).scale)(keys))
    assert exponents.min() < -0.9 * decades and exponents.max() > 0.9 * decades
    assert np.abs(exponents).max() <= decades and abs(np.median(exponents)) < 0.2 * decades


def test_only_training_is_rescaled():
    family = Rescaled(Quadratic(3))
    assert isinstance(family.split("train"), Rescaled)
    assert isinstance(family.split("validation"), Quadratic)
    mixture = Mixture(families=(Quadratic(3), Quadratic(2)), decades=2.0)
    assert all(isinstance(each, Rescaled) for each in families_of(mixture.split("train")))
    assert all(isinstance(each, Quadratic) for each in families_of(mixture.split("test")))


def test_a_mixture_is_one_problem_of_each_family(monkeypatch):
    few_grey8(monkeypatch)
    mixture = Mixture(names=("images8", "logistic"))
    problem, params = begin(mixture)
    key = jax.random.key(3)
    loss = mixture.loss(params, problem, key=key)
    each = [
        family.loss(part, one, key=part_key)
        for family, part, one, part_key in zip(
            mixture.families, params, problem, jax.random.split(key), strict=True
        )
    ]
    np.testing.assert_allclose(loss, np.mean(each), rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Mixture(names=()),
        lambda: Mixture(names=("nothing",)),
        lambda: Mixture(names=("logistic",), decades=-1.0),
        lambda: Rescaled(Quadratic(3), 0.0),
        lambda: Images8(sources=()),
        lambda: Images8(sources=("nist",)),
        lambda: Logistic(batch=0),
        lambda: TeacherStudent(hidden=0),
        lambda: RandomProjection(noise=0.0),
        lambda: TinyTransformer(width=0),
    ],
)
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(InnerloopError):
        make()
