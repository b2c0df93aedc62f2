# %% [markdown]
# # Evolution strategies or backpropagation
#
# Training a rule needs the gradient of the final loss with respect to the rule's weights. There are two
# ways to it. Backpropagation goes through the steps of the run. Evolution strategies change the
# weights at random, and look at which change did better. This tutorial trains the same rule both ways.
#
# | | truncated backpropagation | evolution strategies |
# |---|---|---|
# | noise | small | large; more problems help |
# | long runs | cut into pieces, which makes a rule short-sighted | sees the whole run |
# | chaotic runs | gradients explode | the loss is smoothed |
# | memory | grows with the piece | that of a run |
# | needs derivatives of the problem | yes | no |

# %%
import jax

import innerloop

task = innerloop.Quadratic()
settings = innerloop.TrainingSettings(
    steps=100, learning_rate=2e-2, validate_every=20, validation_problems=32
)


def fresh():
    return innerloop.LSTMRule(hidden=4, key=jax.random.key(0))


# %% [markdown]
# ## The same rule, twice

# %%
found = {}
for name, estimator in {
    "backpropagation": innerloop.TruncatedBackprop(meta_batch_size=16, horizon=20, truncation=10),
    "evolution strategies": innerloop.EvolutionStrategies(meta_batch_size=16, horizon=20),
}.items():
    lines = []
    options = innerloop.RunOptions(on_report=lambda step, each, lines=lines: lines.append(each))
    trained = innerloop.train(
        task, fresh(), settings=settings, estimator=estimator, options=options
    )
    found[name] = [each["validation"] for each in lines if "validation" in each]
    print(f"{name}: validation loss {trained.validation:.2f}")

# %%
from innerloop.plots.canvas import new_figure, save

figure = new_figure(7, 4)
axes = figure.subplots()
for name, losses in found.items():
    axes.semilogy(losses, marker="o", label=name)
axes.set_xlabel("validation")
axes.set_ylabel("loss on validation problems")
axes.legend(frameon=False)
path = save(figure, "estimators.png")

# %% [markdown]
# ## Which one to take
#
# Begin with truncated backpropagation. It learns most from each problem. Take evolution strategies where
#
# - runs are long, and the rule is good early and bad late;
# - gradients of the run explode: `skipped` or `grad_norm` in metrics.jsonl tell;
# - the problem has no derivatives that JAX can take.
#
# Persistent evolution strategies stand between: they cut a run into pieces without the bias. On the
# command line `--estimator NAME` chooses, and `innerloop list` names all.
