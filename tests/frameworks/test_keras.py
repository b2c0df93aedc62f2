"""A learned rule is an optimizer of Keras, alike on both backends."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from helpers import RULES
from innerloop import save

# Keras is not imported here: its backend is another one where the environment names none.
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("keras", "torch")),
    reason="needs Keras and PyTorch: pip install 'innerloop[keras,torch]'",
)

SCRIPT = """
import json, sys
import numpy as np
import keras
import innerloop.keras
from innerloop import InnerloopError

folder, *rules = sys.argv[1:]
random = np.random.default_rng(0)
x = random.normal(size=(32, 4)).astype("float32")
y = x.sum(1, keepdims=True)
first = [random.normal(0, 0.3, shape).astype("float32") for shape in ((4, 5), (5,), (5, 1), (1,))]

def fit(model, epochs):
    model.fit(x, y, batch_size=32, epochs=epochs, shuffle=False, verbose=0)
    return [weight.tolist() for weight in model.get_weights()]

found = {}
for rule in rules:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5), keras.layers.Dense(1)])
    model.set_weights(first)
    optimizer = innerloop.keras.load(rule, learning_rate=0.5, weight_decay=0.01, steps=8)
    model.compile(optimizer, "mse")
    before = model.evaluate(x, y, verbose=0)
    fit(model, 5)
    model.save(f"{folder}/model.keras")
    again = keras.models.load_model(f"{folder}/model.keras")
    found[rule] = fit(model, 5)
    assert found[rule] == fit(again, 5), rule
    assert rule.endswith("safetensors") or model.evaluate(x, y, verbose=0) < before, rule
try:
    innerloop.keras.load("lstm-cifar10")
except InnerloopError as error:
    assert "in Keras these rules stand" in str(error)
else:
    raise AssertionError("a rule of parts was not refused")
try:
    innerloop.keras.load("lstm-mnist", steps=0)
except InnerloopError as error:
    assert "steps is 0; it must be" in str(error)
else:
    raise AssertionError("a run of no steps was not refused")
try:
    innerloop.keras.LearnedOptimizer("lstm-mnist", "0123")
except InnerloopError as error:
    assert "the saved optimizer" in str(error)
else:
    raise AssertionError("other weights were not refused")
print(json.dumps(found))
"""


def test_both_backends_make_the_same_steps_and_save_and_load_models(tmp_path):
    rules = ["tensorwise-mnist", "lstm-gac-quadratic"]
    for name in ("general", "scheduled-general"):
        rules.append(str(save(RULES[name](), tmp_path / f"{name}.safetensors")))
    found = {}
    for backend in ("jax", "torch"):
        # A process has one backend, which is chosen when Keras is imported.
        environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path), *rules]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        found[backend] = json.loads(done.stdout.splitlines()[-1])
    for rule in rules:
        for one, other in zip(found["jax"][rule], found["torch"][rule], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
