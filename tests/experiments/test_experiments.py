"""Finding experiments and tasks, and the recipe for what nobody has tuned."""

import jax.numpy as jnp
import pytest

from innerloop import InnerloopError, TaskFamily
from innerloop.experiments.find import find, names, parse_settings
from innerloop.experiments.recipe import suited_to
from innerloop.rules import LSTMRule


class Sized(TaskFamily):
    size: int

    def sample(self, *, key):
        return None

    def init(self, problem, *, key):
        return {"w": jnp.ones(self.size)}

    def loss(self, params, problem, *, key):
        return jnp.sum(params["w"] ** 2)


@pytest.mark.parametrize("name", names())
def test_every_named_experiment_is_found(name):
    experiment = find(name)
    assert experiment.name == name and experiment.summary


@pytest.mark.parametrize(("spec", "near"), [("mnits", "mnist"), ("quadratics", "quadratic")])
def test_a_misspelt_name_gets_the_nearest(spec, near):
    with pytest.raises(InnerloopError, match=f"Did you mean '{near}'"):
        find(spec)


def test_settings_are_python_literals_or_words():
    parsed = parse_settings(
        ["hidden=32", "preprocessing=none", "output-scale=0.5"], LSTMRule, "the rule"
    )
    assert parsed == {"hidden": 32, "preprocessing": None, "output_scale": 0.5}


@pytest.mark.parametrize("setting", ["hidden", "width=3", "key=1"])
def test_what_is_no_setting_is_refused(setting):
    with pytest.raises(InnerloopError, match="KEY one of: hidden, depth"):
        parse_settings([setting], LSTMRule, "the rule")


@pytest.mark.parametrize(
    ("size", "problems", "sampled"), [(10, 128, False), (2000, 32, False), (1_000_000, 2, True)]
)
def test_the_default_recipe_fits_the_size(size, problems, sampled):
    settings = suited_to(Sized(size))
    assert settings.problems == problems
    assert (settings.coordinates is not None) == sampled
