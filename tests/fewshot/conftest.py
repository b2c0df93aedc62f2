"""The network of most tests has one block of its four, which takes a fraction of the time."""

import pytest

WHOLE = ("test_network", "test_adapt", "test_gates", "test_shipped")
"""Those that are about the network as it is."""


@pytest.fixture(autouse=True, scope="module")
def one_block(request):
    if request.module.__name__.endswith(WHOLE):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        for module in ("network", "metric", "start"):
            patch.setattr(f"innerloop.fewshot.{module}.BLOCKS", ("block1",))
        yield
