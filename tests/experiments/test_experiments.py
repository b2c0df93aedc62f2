"""Finding experiments and tasks, and the recipe for what nobody has tuned."""

import jax.numpy as jnp
import pytest

from innerloop import TaskFamily, registry
from innerloop.errors import SettingsError, UnknownNameError
from innerloop.experiments import Choice, RunSettings
from innerloop.experiments.find import find_run
from innerloop.experiments.make import make_estimator, make_rule, make_task
from innerloop.experiments.recipe import suit
from innerloop.runtime.settings import from_dict, read_arguments, to_dict


@registry.register("sized")
class Sized(TaskFamily):
    size: int

    def sample(self, *, key):
        return None

    def init(self, problem, *, key):
        return {"w": jnp.ones(self.size)}

    def loss(self, params, problem, *, key):
        return jnp.sum(params["w"] ** 2)


@pytest.mark.parametrize("name", registry.members("experiment"))
def test_every_experiment_can_be_made(name):
    found, settings, suits = find_run(name)
    assert found == name and suits and registry.find("experiment", name).summary()
    make_estimator(settings)
    if settings.init_from is None:
        make_rule(settings)
    read_arguments(registry.find("task family", settings.task.name), settings.task.settings)
    assert from_dict(RunSettings, to_dict(settings)) == settings


def test_a_task_without_an_experiment_is_found_too():
    name, settings, suits = find_run("sized")
    assert (name, settings.task, suits) == ("sized", Choice("sized"), False)


@pytest.mark.parametrize(("spec", "near"), [("mnits", "mnist"), ("quadratics", "quadratic")])
def test_a_misspelt_name_gets_the_nearest(spec, near):
    with pytest.raises(UnknownNameError, match=f"Did you mean '{near}'"):
        find_run(spec)


def test_a_rule_for_each_part_has_a_key_of_its_own():
    settings = RunSettings(task=Choice("sized"), rule_parts=("conv", "dense"))
    rules = make_rule(settings).rules
    assert set(rules) == {"conv", "dense"}
    assert not jnp.array_equal(rules["conv"].output_weight, rules["dense"].output_weight)


def test_a_part_that_cannot_be_made_is_named_with_its_argument():
    with pytest.raises(SettingsError) as raised:
        make_task(Choice("sized", {"size": "ten"}))
    assert raised.value.arguments == ("task.size",)
    estimator = Choice("truncated-backprop", {"truncation": 30})
    with pytest.raises(SettingsError) as raised:
        make_estimator(RunSettings(task=Choice("sized"), estimator=estimator))
    assert raised.value.arguments == ("estimator.truncation",)


@pytest.mark.parametrize(
    ("size", "problems", "sampled"), [(10, 128, False), (2000, 32, False), (1_000_000, 2, True)]
)
def test_the_default_settings_fit_the_size(size, problems, sampled):
    estimator = make_estimator(suit(RunSettings(task=Choice("sized")), Sized(size)))
    assert estimator.meta_batch_size == problems
    assert (estimator.coordinates is not None) == sampled
