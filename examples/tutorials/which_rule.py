# %% [markdown]
# # Which rule should I use?
#
# Ask first whether you need a learned rule at all. It pays off when you solve many similar problems,
# each for about the same number of steps. For one large training run, tuned Adam is the better choice.
#
# | you have | take |
# |---|---|
# | many small problems of one kind | a rule that you train on them, [as here](own_problems.md) |
# | small networks on images like MNIST | `tensorwise-mnist-family` |
# | quadratics, or least squares in few dimensions | `lstm-quadratic` |
# | problems unlike any of the training | Adam, or a rule behind [`safeguard`](optax_rule.md) |
# | one or five images of each class | a few-shot method, [as here](fewshot_folder.md) |
#
# The [results](../results/README.md) say how far each shipped rule carries. Do not trust a table alone:
# try the candidates on your own problems.
#
# ## Try the candidates
#
# `others` shows more rules beside the one that is judged.

# %%
import innerloop

comparison = innerloop.compare(
    innerloop.load("lstm-quadratic"),
    innerloop.Quadratic(),
    innerloop.ComparisonSettings(
        problems=32, horizon=30, validation_problems=16, baselines=("adam",)
    ),
    name="quadratic",
    others={"lstm-gac-quadratic": innerloop.load("lstm-gac-quadratic")},
)
for run in (comparison.learned, *comparison.others, *comparison.baselines):
    print(f"{run.name}: {comparison.summary(run)['median']:.3f}")

# %%
path = innerloop.plot_curves(comparison, "which-rule.png")

# %% [markdown]
# ## Then ask what it costs
#
# A rule has weights and a state. Its step takes longer than a step of Adam, and its state is larger. Where
# the gradient takes most of the time, that hardly matters. Where the problem is tiny, it does. The
# report of `innerloop compare` has the time of a step where it was measured.
