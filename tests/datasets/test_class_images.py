"""Images grouped by class: what is accepted, and what is not."""

import numpy as np
import pytest

from innerloop import InnerloopError
from innerloop.datasets.class_images import ClassImages


def images(number):
    return np.zeros((number, 2, 3, 1), np.uint8)


def test_each_class_starts_where_the_one_before_it_ends():
    assert ClassImages(images(6), (2, 1, 3), ("a", "b", "c")).starts == (0, 2, 3)
    assert ClassImages(images(0), (), ()).starts == ()


@pytest.mark.parametrize(
    ("counts", "names", "message"),
    [
        ((2, 3), ("a", "b"), r"counts add up to 5, but there are 6 images"),
        ((2, 4), ("a", "b", "c"), r"3 names for 2 classes"),
        ((2, 4), ("a", "a"), r"Two classes are called 'a'"),
        ((6, 0), ("a", "b"), r"The class 'b' has 0 images"),
    ],
    ids=["counts", "names", "twice", "empty"],
)
def test_what_does_not_fit_is_refused(counts, names, message):
    with pytest.raises(InnerloopError, match=message):
        ClassImages(images(6), counts, names)
