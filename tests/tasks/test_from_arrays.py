"""Task families from arrays: their parts share no problem, and what is wrong is said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop import InnerloopError
from innerloop.tasks import from_arrays
from innerloop.tasks.check import check_task

POINTS = np.arange(20 * 6, dtype=np.float32).reshape(20, 6)


def loss(params, problem):
    return jnp.mean((problem["x"] - params) ** 2)


def family(data=None, **options):
    given = {"x": POINTS} if data is None else data
    return from_arrays(loss, lambda problem, key: jnp.zeros(()), given, **options)


def test_every_problem_is_in_one_part():
    task = family()
    check_task(task)
    parts = [set(task.split(part).rows.tolist()) for part in ("train", "validation", "test")]
    assert set.union(*parts) == set(range(20)) and [len(part) for part in parts] == [13, 3, 4]
    sampled = {int(task.split("test").sample(key=jax.random.key(n))["x"][0]) for n in range(30)}
    assert sampled == {6 * row for row in parts[2]}


def test_a_minibatch_is_a_part_of_a_problem():
    task = family(batch_size=2)
    problem = {"x": jnp.asarray([0.0, 0.0, 0.0, 0.0, 0.0, 6.0])}
    found = {float(task.loss(jnp.zeros(()), problem, key=jax.random.key(n))) for n in range(20)}
    assert found == {0.0, 18.0}


def test_it_reads_files(tmp_path):
    np.savez(tmp_path / "all.npz", x=POINTS)
    assert family(tmp_path / "all.npz").data["x"].shape == (20, 6)
    (tmp_path / "each").mkdir()
    for number, row in enumerate(POINTS):
        np.savez(tmp_path / "each" / f"{number:02}.npz", x=row)
    np.testing.assert_array_equal(family(str(tmp_path / "each")).data["x"], POINTS)


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        ({"x": POINTS, "y": POINTS[1:]}, {}, "the shapes are"),
        ({"x": POINTS[:4]}, {}, "at least 5"),
        (None, {"batch_size": 7}, "batch_size is 7"),
        ("nowhere.npz", {}, "cannot be read"),
    ],
)
def test_wrong_data_is_refused_in_a_sentence(data, options, said):
    with pytest.raises(InnerloopError, match=said):
        family(data, **options)


def test_a_file_holds_no_code(tmp_path):
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], dtype=object))
    with pytest.raises(InnerloopError, match="cannot be read"):
        family(tmp_path / "pickled.npz")
