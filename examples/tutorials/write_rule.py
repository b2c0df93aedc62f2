# %% [markdown]
# # Write a rule
#
# A rule is a frozen tree of arrays with two methods. `init` makes the state for some parameters.
# `update` turns gradients and state into steps and a new state. The arrays are what training
# changes. This tutorial writes momentum whose rate and decay are learned, one pair for each of
# two time scales.
#
# ## The class

# %%
import jax
import jax.numpy as jnp

import innerloop


@innerloop.register("tutorial-two-speeds")
class TwoSpeeds(innerloop.Rule):
    """Two averages of the gradient, a fast and a slow one, each with a learned rate.

    Args:
        first_rate: The rates that training begins with, above 0.
    """

    log_rates: jax.Array
    decays: jax.Array

    def __init__(self, *, first_rate: float = 0.01):
        self.log_rates = jnp.log(jnp.full(2, first_rate))
        self.decays = jnp.asarray([0.0, 2.0])  # before the sigmoid

    def init(self, params):
        return jax.tree.map(lambda leaf: jnp.zeros((2, *leaf.shape)), params)

    def update(self, grads, state, params=None, *, value=None, **extra):
        keep = jax.nn.sigmoid(self.decays)
        rates = jnp.exp(self.log_rates)

        def average(both, grad):
            each = keep.reshape(2, *[1] * grad.ndim)
            return each * both + grad

        state = jax.tree.map(average, state, grads)
        steps = jax.tree.map(lambda both: -jnp.tensordot(rates, both, axes=1), state)
        return steps, state


# %% [markdown]
# `register` gives the class a name. A file of weights holds that name, and `load` finds the class
# by it. Settings of `__init__` become options of the command line.
#
# ## Try it before you train it
#
# `unroll` runs a rule on one problem. A rule that fails does so here, with a readable message.

# %%
task = innerloop.Quadratic()
before = innerloop.evaluate(TwoSpeeds(), task, key=jax.random.key(0), problems=64, marks=(50,))
print(f"untrained: {before.losses[-1].mean():.2f}")

# %% [markdown]
# ## Train it

# %%
trained = innerloop.train(
    task,
    TwoSpeeds(),
    settings=innerloop.TrainingSettings(
        steps=150, learning_rate=3e-2, validate_every=50, validation_problems=32
    ),
    estimator=innerloop.TruncatedBackprop(meta_batch_size=16, horizon=50, truncation=25),
)
after = innerloop.evaluate(trained.rule, task, key=jax.random.key(0), problems=64, marks=(50,))
print(f"trained: {after.losses[-1].mean():.2f}")
print("rates:", jnp.exp(trained.rule.log_rates), "decays:", jax.nn.sigmoid(trained.rule.decays))

# %% [markdown]
# Two numbers of each kind were learned, and each says something. The slow average got its own rate
# and decay: training found out how much momentum these problems bear.
#
# ## From the command line
#
# ```sh
# innerloop train quadratic --rule my_rules.py:TwoSpeeds --rule.first-rate 0.02
# ```
#
# Estimators, backbones, methods, datasets and experiments work in the same way, see
# [How to add your own parts](../how-to/extend.md).
