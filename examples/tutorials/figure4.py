# %% [markdown]
# # Reproduce Figure 4 and understand it
#
# Figure 4 of Andrychowicz et al. (2016) made the case for learned optimizers: an LSTM ends lower
# than tuned SGD, RMSprop, Adam and Nesterov's momentum. One command reproduces the figure:
#
# ```sh
# innerloop reproduce andrychowicz2016-fig4 --shipped
# ```
#
# It takes minutes, since the figure averages over many problems. This tutorial runs the left panel
# on fewer problems and with two of the baselines, and explains what it shows.
#
# ## The problems
#
# A quadratic is f(θ) = ‖Wθ − y‖². W and y are drawn from a normal distribution, and θ has ten
# coordinates. Nobody needs an optimizer for this, and that is the point: the answer is known, and
# a run takes milliseconds.

# %%
import innerloop

task = innerloop.Quadratic()
rule = innerloop.load("lstm-quadratic")

# %% [markdown]
# ## The rule
#
# The rule is one small LSTM that every coordinate shares. It reads the gradient of its coordinate
# and writes a step. The hidden state is its memory, and takes the place of Adam's averages.

# %%
import jax

arrays = [leaf for leaf in jax.tree.leaves(rule) if hasattr(leaf, "shape")]
print("learned numbers in the rule:", sum(leaf.size for leaf in arrays))

# %% [markdown]
# ## The comparison
#
# Each baseline gets the learning rate that is best for the loss at the horizon. That is a strong
# baseline: a user seldom tunes for one family of problems and one number of steps.

# %%
comparison = innerloop.compare(
    rule,
    task,
    innerloop.ComparisonSettings(problems=32, validation_problems=16, baselines=("sgd", "adam")),
    name="quadratic",
)
path = innerloop.plot_curves(comparison, "figure4.png")

# %%
results = comparison.results()
best = results["best_baseline"]
print("verdict:", results["verdict"]["steps"])
print(f"learned: {results['learned']['final']:.3f}")
print(f"{best}: {results['baselines'][best]['final']:.3f}")

# %% [markdown]
# ## What to see
#
# - **The fast start.** The rule has seen thousands of such problems, and knows how large a first
#   step should be. A baseline has one learning rate for the whole run.
# - **The end.** The rule still descends after the horizon, though it was not trained for it. Rules do
#   not always do so: look at the right half of the picture first.
# - **What is missing.** A second-order method solves a quadratic of ten coordinates in a few steps.
#   `--reference` shows L-BFGS. The claim is about first-order methods.
#
# The page of results has the whole figure with its intervals:
# [Learned optimizers](../results/optimizers.md).
