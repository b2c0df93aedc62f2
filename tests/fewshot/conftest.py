"""The network of these tests has one block of its four, which takes a fraction of the time."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def one_block(request):
    if request.module.__name__.endswith("test_network"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        for module in ("network", "metric"):
            patch.setattr(f"innerloop.fewshot.{module}.BLOCKS", ("block1",))
        yield
