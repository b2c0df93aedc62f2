# %% [markdown]
# # The Meta-Learner LSTM from its equations
#
# Ravi and Larochelle (2017) saw that the update of gradient descent looks like the update of an LSTM's
# cell. This tutorial goes from that remark to a learner that names characters it has seen once.
#
# ## One equation
#
# The cell of an LSTM is updated by
#
# > c_t = f_t · c_{t−1} + i_t · c̃_t
#
# Put the parameters θ in the place of the cell, the negative gradient in the place of the candidate,
# let the forget gate be one and the input gate be the learning rate. That is gradient descent:
#
# > θ_t = θ_{t−1} − α ∇_t
#
# A Meta-Learner LSTM learns both gates, and the start of the cell: θ₀ is learned too. A forget gate
# below one shrinks the parameters, which helps to leave a bad optimum.

# %%
import jax
import jax.numpy as jnp


def step(theta, gradient, forget, enter):
    return forget * theta - enter * gradient


theta, gradient = jnp.asarray([1.0, -2.0]), jnp.asarray([0.5, 0.5])
print("gradient descent:", step(theta, gradient, forget=1.0, enter=0.1))
print("with forgetting: ", step(theta, gradient, forget=0.9, enter=0.1))

# %% [markdown]
# ## The gates
#
# Each gate reads the gradient, the loss, the parameter and its own former value, and ends in a
# sigmoid. The weights of the gates are shared by all coordinates of the network.
#
# `MetaLSTMRule` is that rule. Before training its forget gate is near one and its input gate is
# small, and it behaves like gradient descent with a small rate.

# %%
import innerloop

rule = innerloop.MetaLSTMRule(key=jax.random.key(0), hidden=8)
params = {"w": theta}
updates, _ = rule.update({"w": gradient}, rule.init(params), params, value=jnp.asarray(1.0))
print("first step:", updates["w"])

# %% [markdown]
# ## A learner
#
# The learner has a network, the rule, and the start of the network's weights. It runs the rule on the
# support images and answers for the queries. A shipped one has learned on Omniglot. It keeps the
# layers that embed an image, and its rule changes the output layer alone.

# %%
from innerloop import fewshot

learner = fewshot.load("meta-lstm-head-omniglot-5w-1s")
data = innerloop.datasets.load_omniglot("test", rotations=False)
sampler = fewshot.EpisodeSampler(data, way=5, shot=1, queries=5)
accuracies = fewshot.evaluate(learner, sampler, key=jax.random.key(1), episodes=20)
mean, half = fewshot.interval(accuracies)
print(f"{100 * mean:.1f} ± {100 * half:.1f} % of the queries, one image of each class seen")

# %% [markdown]
# ## Look at the gates
#
# The paper's Figures 2 and 3 show the gates of every layer while the learner learns. Here the output
# layer is the only one that learns.

# %%
from innerloop.inspection import record_gates
from innerloop.plots.gates import draw_gates

gates = record_gates(learner, sampler, key=jax.random.key(2), episodes=1)
path = draw_gates(*gates.quantiles(), "gates.png", title="Meta-Learner LSTM on Omniglot")

# %% [markdown]
# The forget gate stays at one. The input gate is the learning rate. It was 0.3 before meta-training. The
# learner has found that 0.9 is better, and that the first step should be a little smaller.
#
# `innerloop fewshot train meta-lstm` trains one, and `innerloop reproduce ravi2017-table1` compares
# the shipped ones with the published numbers.
