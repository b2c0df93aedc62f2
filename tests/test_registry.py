"""Classes by name: what joins, what is refused, and what is suggested."""

import pytest

import innerloop
from innerloop import InnerloopError, registry


@pytest.fixture
def name():
    """A name that is taken out again."""
    yield "test-bowl"
    for known in registry._CLASSES.values():
        known.pop("test-bowl", None)


def bowl():
    class Bowl(innerloop.Rule):
        def init(self, params):
            return ()

        def update(self, grads, state, params=None, *, value=None, **extra):
            return grads, state

    return Bowl


BUILT_IN = {
    "task family": {"quadratic", "mnist", "mnist-family", "cifar10", "neural-art"},
    "rule": {
        *("lstm", "lstm-gac", "meta-lstm", "meta-sgd", "ntm-bfgs", "rnnprop", "per-tensor"),
        *("optax", "multi"),
    },
    "estimator": {"truncated-backprop", "evolution-strategies"},
    "backbone": {"conv4", "resnet12"},
    "method": {"maml", "meta-lstm", "protonet"},
    "dataset": {"omniglot", "miniimagenet"},
    "experiment": {"quadratic", "mnist"},
}


@pytest.mark.parametrize("kind", BUILT_IN)
def test_what_comes_with_innerloop_is_registered(kind):
    known = registry.members(kind)
    assert BUILT_IN[kind] <= set(known)
    assert all(cls.registry_kind == kind for cls in known.values())


def test_a_class_is_found_by_its_name_and_its_name_by_the_class(name):
    cls = innerloop.register(name)(bowl())
    assert registry.find("rule", name) is cls and registry.name_of(cls) == name


def test_a_subclass_has_no_name_of_its_own(name):
    cls = innerloop.register(name)(bowl())
    assert registry.name_of(type("Steeper", (cls,), {})) is None
    assert registry.name_of(int) is None


def test_kinds_have_names_of_their_own():
    assert registry.find("method", "meta-lstm") is not registry.find("rule", "meta-lstm")


def test_a_file_that_is_run_again_replaces_its_class(name):
    innerloop.register(name)(bowl())
    again = innerloop.register(name)(bowl())
    assert registry.find("rule", name) is again


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(InnerloopError, match=r"There is a rule 'lstm' already, .*LSTMRule"):
        innerloop.register("lstm")(bowl())


def test_a_class_of_no_kind_is_refused():
    with pytest.raises(InnerloopError, match="must subclass TaskFamily, Rule"):
        innerloop.register("test-thing")(int)


@pytest.mark.parametrize(("kind", "typed", "meant"), [("rule", "ltsm", "lstm")])
def test_the_nearest_name_is_suggested(kind, typed, meant):
    with pytest.raises(InnerloopError, match=rf"no {kind} '{typed}'\. Did you mean '{meant}'"):
        registry.find(kind, typed)
