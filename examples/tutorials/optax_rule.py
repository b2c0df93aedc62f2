# %% [markdown]
# # Use a shipped rule in Optax
#
# A trained rule is an Optax transformation. It goes wherever `optax.adam` goes: into your own
# loop, into `optax.chain`, into the state of a Flax model. `innerloop list` names the shipped rules.
#
# ## A loop of your own

# %%
import jax
import jax.numpy as jnp
import optax

import innerloop

keys = jax.random.split(jax.random.key(0), 3)
matrix, target = jax.random.normal(keys[0], (10, 10)), jax.random.normal(keys[1], (10,))
start = {"x": jax.random.normal(keys[2], (10,))}


@jax.jit
def loss_and_grad(params):
    return jax.value_and_grad(lambda p: jnp.sum((matrix @ p["x"] - target) ** 2))(params)


def solve(optimizer, steps=100):
    params, state, losses = start, optimizer.init(start), []
    update = jax.jit(optimizer.update)
    for _ in range(steps):
        loss, grads = loss_and_grad(params)
        updates, state = update(grads, state, params, value=loss)
        params = optax.apply_updates(params, updates)
        losses.append(float(loss))
    return losses


learned = solve(innerloop.load("lstm-quadratic").as_optax())
adam = solve(optax.with_extra_args_support(optax.adam(0.3)))
print(f"learned: {learned[-1]:.4f}   Adam: {adam[-1]:.4f}")

# %% [markdown]
# The loss goes to `update` as `value`. Some rules read it; the others ignore it.
#
# ## Look at the two runs

# %%
from innerloop.plots.canvas import new_figure, save

figure = new_figure(7, 4)
axes = figure.subplots()
axes.semilogy(learned, label="learned", color="#D55E00", linewidth=2.5)
axes.semilogy(adam, label="Adam, rate 0.3", color="#0072B2")
axes.set_xlabel("step")
axes.set_ylabel("loss")
axes.legend(frameon=False)
path = save(figure, "optax-rule.png")

# %% [markdown]
# One problem proves nothing: another matrix may give another picture. A comparison over many
# problems does, see [Read a comparison honestly](read_comparison.md).
#
# ## Add a fallback
#
# A rule is at home on problems like those of its training. Elsewhere it may fail. `safeguard` runs
# a fallback wherever the rule is not far ahead.

# %%
guarded = innerloop.safeguard(innerloop.load("lstm-quadratic"), optax.adam(0.3), steps=100)
print(f"guarded: {solve(guarded)[-1]:.4f}")

# %% [markdown]
# The guard needs the loss of every step as `value`. It also costs time and memory, since the
# fallback's state is kept beside the rule's.
#
# ## In Flax NNX
#
# `nnx.Optimizer` takes a rule as it takes `optax.adam`, and gives the loss on from its own `update`. This is
# [examples/frameworks/flax_nnx.py](../../examples/frameworks/flax_nnx.py), which the tests run:
#
# ```python
# --8<-- "examples/frameworks/flax_nnx.py"
# ```
#
# Flax's older layers, Equinox, Optax's wrappers and Orbax have examples beside it.
# [Use a shipped rule in PyTorch](torch_rule.md) is for PyTorch.
