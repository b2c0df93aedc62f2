"""Checkpoints that are damaged are seen, and the one before is taken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop import InnerloopError
from innerloop.runtime.checkpoints import Checkpoints


def tree(number):
    return {
        "weights": jnp.full((64, 32), number, jnp.float32),
        "key": jax.random.split(jax.random.key(number), 4),
    }


def filled(folder, steps):
    with Checkpoints(folder, keep=len(steps)) as checkpoints:
        for step in steps:
            checkpoints.save(step, tree(step), wait=True)


def content(folder, step):
    """The files of a checkpoint, the largest last."""
    files = [path for path in (folder / str(step) / "default").rglob("*") if path.is_file()]
    return sorted(files, key=lambda path: path.stat().st_size)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def restored(folder):
    with Checkpoints(folder, keep=3) as checkpoints:
        return checkpoints.restore(tree(0))


def test_the_newest_comes_back(tmp_path):
    filled(tmp_path, [1, 2, 3])
    step, found = restored(tmp_path)
    assert step == 3
    assert np.array_equal(found["weights"], tree(3)["weights"])
    assert np.array_equal(*map(jax.random.key_data, (found["key"], tree(3)["key"])))


@pytest.mark.parametrize("damage", [flip, cut, lambda path: path.unlink()])
def test_a_damaged_one_gives_way_to_the_one_before(tmp_path, damage):
    filled(tmp_path, [1, 2, 3])
    for path in content(tmp_path, 3):
        damage(path)
    step, found = restored(tmp_path)
    assert step == 2 and np.array_equal(found["weights"], tree(2)["weights"])
    # It is gone, so that its step can be saved again.
    with Checkpoints(tmp_path, keep=3) as checkpoints:
        checkpoints.save(3, tree(30), wait=True)
    assert restored(tmp_path)[0] == 3 and restored(tmp_path)[1]["weights"][0, 0] == 30


def test_one_changed_bit_is_seen(tmp_path):
    filled(tmp_path, [1, 2])
    flip(content(tmp_path, 2)[-1])
    assert restored(tmp_path)[0] == 1


def test_where_none_is_whole_nothing_is_removed_and_it_is_said(tmp_path):
    filled(tmp_path, [1, 2])
    for step in (1, 2):
        flip(content(tmp_path, step)[-1])
    with pytest.raises(InnerloopError, match="is whole: they are damaged"):
        restored(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}


def test_only_so_many_are_kept(tmp_path):
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        for step in (1, 2, 3, 4):
            checkpoints.save(step, tree(step))
    assert {path.name for path in tmp_path.iterdir()} == {"3", "4"}


def test_an_empty_newest_one_hides_no_whole_one(tmp_path):
    filled(tmp_path, [1, 2])
    (tmp_path / "7").mkdir()
    step, found = restored(tmp_path)
    assert step == 2 and np.array_equal(found["weights"], tree(2)["weights"])
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}


def test_empty_ones_alone_are_no_fresh_start(tmp_path):
    (tmp_path / "7").mkdir()
    with pytest.raises(InnerloopError, match="is whole: they are damaged"):
        restored(tmp_path)
    assert (tmp_path / "7").is_dir()


@pytest.mark.parametrize("error", [MemoryError("no memory"), ValueError("a bug")])
def test_what_goes_wrong_in_reading_is_no_damage(tmp_path, monkeypatch, error):
    filled(tmp_path, [1, 2, 3])
    read, failed = Checkpoints._read, []

    def once(self, step, like):
        if step == 3:
            failed.append(step)
            raise error
        return read(self, step, like)

    monkeypatch.setattr(Checkpoints, "_read", once)
    with pytest.raises(InnerloopError, match=f"meta-step 3 .* is whole, but .*{error}"):
        restored(tmp_path)
    assert failed and {path.name for path in tmp_path.iterdir()} == {"1", "2", "3"}


def test_a_state_of_another_kind_is_no_damage(tmp_path):
    filled(tmp_path, [1, 2])
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(InnerloopError, match="is whole"):
        checkpoints.restore({"weights": jnp.zeros(3)})
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_list_of_digests_is_damage(tmp_path, content):
    filled(tmp_path, [1, 2])
    (tmp_path / "2" / "sha256.json").write_text(content)
    assert restored(tmp_path)[0] == 1


def test_damage_is_removed_only_once_an_older_one_is_read(tmp_path, monkeypatch):
    filled(tmp_path, [1, 2])
    flip(content(tmp_path, 2)[-1])
    monkeypatch.setattr(Checkpoints, "_read", lambda *_: 1 / 0)
    with pytest.raises(InnerloopError, match=r"meta-step 1 .* is whole"):
        restored(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}


def test_a_checkpoint_has_its_digests_before_it_has_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(Checkpoints, "_digest", lambda self: None)
    filled(tmp_path, [1, 2])
    assert all((tmp_path / step / "sha256.json").is_file() for step in "12")
    assert restored(tmp_path)[0] == 2


def test_what_a_run_was_asked_is_covered_by_the_digests(tmp_path):
    for step, seed in ((1, 5), (2, 5)):
        with Checkpoints(tmp_path, keep=2, asked={"seed": seed}) as checkpoints:
            checkpoints.save(step, tree(step), wait=True)
    with (
        Checkpoints(tmp_path, asked={"seed": 6}) as checkpoints,
        pytest.raises(InnerloopError, match="begun with seed = 5"),
    ):
        checkpoints.restore(tree(0))
    (tmp_path / "2" / "run.toml").write_text("seed = 6")
    with Checkpoints(tmp_path, asked={"seed": 5}) as checkpoints:
        found = checkpoints.restore(tree(0))
    assert found is not None and found[0] == 1
