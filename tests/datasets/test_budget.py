"""No more pixels are decoded at a time than the machine has memory for."""

import io
import threading

import pytest
from PIL import Image

from innerloop import InnerloopError
from innerloop.datasets.budget import PixelBudget
from innerloop.datasets.images import decode


def test_more_than_the_budget_wait_for_each_other():
    budget, inside, most, lock = PixelBudget(10), [0], [0], threading.Lock()

    def one():
        with budget.take(4):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            barrier.wait()
            with lock:
                inside[0] -= 1

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert most == [2] and inside == [0]


def test_one_that_is_larger_than_the_budget_has_it_alone():
    budget = PixelBudget(10)
    with budget.take(50):
        pass
    with pytest.raises(KeyError), budget.take(50):
        raise KeyError
    with budget.take(10):
        pass


def test_an_image_that_the_machine_has_no_memory_for_is_refused(monkeypatch):
    stream = io.BytesIO()
    Image.new("RGB", (4, 3)).save(stream, "png")
    monkeypatch.setattr("innerloop.datasets.images.machine_memory", lambda: 12 * 32 - 1)
    with pytest.raises(InnerloopError, match="it has 12 pixels, and decoding it would take more"):
        decode(stream.getvalue(), "it")
