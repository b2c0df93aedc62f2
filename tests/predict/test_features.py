"""Features of one's own in place of a learner."""

import numpy as np
import pytest
from PIL import Image

from innerloop import InnerloopError
from innerloop.predict import adapt_features
from innerloop.predict.features import FeatureTable


@pytest.fixture
def folders(tmp_path):
    """Two classes of two images each, three queries, and features that tell them apart."""
    names, rows = [], []
    random = np.random.default_rng(0)
    for folder, label in (("support/cat", 0), ("support/dog", 1), ("query", 0)):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (9, 9)).save(tmp_path / folder / f"{number}.png")
            names.append(f"{folder}/{number}.png")
            rows.append(np.eye(6)[label] + random.normal(0, 0.05, 6))
    Image.new("RGB", (9, 9)).save(tmp_path / "query" / "odd.png")
    return tmp_path, [*names, "odd.png"], np.stack([*rows, np.eye(6)[5]])


def written(folder, **arrays):
    np.savez(folder / "clip.npz", **arrays)
    return folder / "clip.npz"


def test_queries_are_named_by_their_features(folders):
    folder, names, rows = folders
    path = written(folder, names=np.asarray(names), features=rows)
    found = adapt_features(path, folder / "support", folder / "query")
    assert found.learner == "features-clip" and found.labels[:2] == ["cat", "cat"]
    assert found.calibration.source == "left-out support images"
    assert found.calibration.images == 4
    assert list(found.strange) == [False, False, True]


def spoiled(rows, value):
    rows = np.array(rows)
    rows[3, 2] = value
    return rows


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda n, r: {"names": n[:-1], "features": r[:-1]}, "no row for .*query/odd.png"),
        (lambda n, r: {"names": n, "features": spoiled(r, np.nan)}, "1 of the 7 rows .* not fin"),
        (lambda n, r: {"names": n, "features": spoiled(r, np.inf)}, "is that of support/dog/1.png"),
        (lambda n, r: {"names": n, "features": r * 1e300}, "not finite"),
        (lambda n, r: {"names": n, "features": r[:-1]}, r"shape \(6, 6\).*for 7 names"),
        (lambda n, r: {"names": n, "features": r[:, 0]}, "is wanted"),
        (lambda n, r: {"names": [*n[:-1], n[0]], "features": r}, "two rows for support/cat/0.png"),
        (lambda n, r: {"names": np.asarray(n, object), "features": r}, "without objects"),
        (lambda n, r: {"names": np.arange(7), "features": r}, "`names` in .* is no list of texts"),
        (lambda n, r: {"features": r}, "cannot be read; an .npz with an array `names`"),
        (lambda n, r: {"names": [each[-5:] for each in n[4:]], "features": r[4:]}, "the same row"),
    ],
)
def test_features_that_do_not_fit_get_a_sentence(folders, change, words):
    folder, names, rows = folders
    path = written(folder, **change(names, rows))
    with pytest.raises(InnerloopError, match=words) as caught:
        adapt_features(path, folder / "support", folder / "query")
    assert "\n" not in str(caught.value)


def test_a_pickle_is_not_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    path = written(tmp_path, names=np.asarray(["a"]), features=np.asarray([[Trap()]], object))
    with pytest.raises(InnerloopError, match="without objects"):
        FeatureTable(path)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(InnerloopError, match="cannot be read"):
        FeatureTable(tmp_path / "one.npy")
    assert not (tmp_path / "ran").exists()
