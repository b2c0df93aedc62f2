# %% [markdown]
# # Learn an optimizer for your own problems
#
# You solve many small problems of one kind: fit a curve to each patient, calibrate each sensor.
# Every problem is new, but they resemble each other. This tutorial trains an optimizer for such
# a family of problems, and compares it with tuned baselines.
#
# ## Say what the problems are
#
# A task family has three methods. `sample` draws a problem, `init` draws the parameters to begin
# with, and `loss` says how good parameters are. Here a problem is a sinusoid, and the parameters
# are the weights of a small network that is fitted to it.

# %%
from jax import numpy as jnp, random

import innerloop


class Sinusoid(innerloop.TaskFamily):
    def sample(self, *, key):
        return random.uniform(key, (2,), minval=0.1, maxval=3.0)

    def init(self, wave, *, key):
        return random.normal(key, (3, 16)) / 2

    def loss(self, w, wave, *, key):
        x = random.uniform(key, (32, 1), minval=-3, maxval=3)
        predicted = jnp.tanh(x * w[0] + w[1]) @ w[2]
        return jnp.mean((predicted - wave[0] * jnp.sin(x.T + wave[1])) ** 2)


# %% [markdown]
# ## Train a rule
#
# By default the rule is the LSTM of Andrychowicz et al. (2016). The settings below are small, and
# the tutorial takes seconds. For a rule that you mean to use, keep the defaults.

# %%
trained = innerloop.train(
    Sinusoid(),
    innerloop.LSTMRule(hidden=8, key=random.key(0)),
    settings=innerloop.TrainingSettings(
        steps=200, learning_rate=1e-2, validate_every=100, validation_problems=32
    ),
    estimator=innerloop.TruncatedBackprop(meta_batch_size=16, horizon=40, truncation=20),
)
print(f"validation loss {trained.validation:.3f} after {trained.steps} meta-steps")

# %% [markdown]
# ## Compare it
#
# `compare` tunes the learning rate of every baseline on its own problems. Then all optimizers run
# on the same unseen problems, from the same parameters and with the same minibatches.

# %%
comparison = innerloop.compare(
    trained.rule,
    Sinusoid(),
    innerloop.ComparisonSettings(
        problems=64, horizon=40, validation_problems=16, baselines=("sgd", "adam")
    ),
    name="sinusoid",
)
results = comparison.results()
print("verdict:", results["verdict"]["steps"])
print("best baseline:", comparison.best_baseline.name)

# %%
path = innerloop.plot_curves(comparison, "own-problems.png")

# %% [markdown]
# The bold line is the learned rule. The band around it holds the middle half of the problems. The
# dashed line is the horizon, the step that the rule is trained for and judged at.
#
# ## Keep it
#
# A file holds the rule's name, its settings and its numbers, and no code.

# %%
innerloop.save(trained.rule, "sinusoid.safetensors")
optimizer = innerloop.load("sinusoid.safetensors").as_optax()
print(type(optimizer).__name__)

# %% [markdown]
# ## Where to go on
#
# - The same from the command line, with a report: `innerloop train examples/sinusoid.py:Sinusoid
#   --rule lstm --out runs/sinusoid`, and then `innerloop compare runs/sinusoid --task
#   examples/sinusoid.py:Sinusoid`. Without `--rule` the command searches for the best optimizer,
#   learned or not.
# - [Use a rule in your own loop](optax_rule.md).
# - [Read a comparison honestly](read_comparison.md) before you believe one.
