# %% [markdown]
# # Read a comparison honestly
#
# Learned optimizers have a history of claims that did not hold. The usual reasons are baselines
# that were not tuned, problems that differ, and a mean that a few problems make. This tutorial
# takes a comparison apart, and shows what to look at before you believe it.

# %%
import innerloop

settings = innerloop.ComparisonSettings(
    problems=32, horizon=40, validation_problems=16, baselines=("sgd", "adam")
)
comparison = innerloop.compare(
    innerloop.load("lstm-quadratic"), innerloop.Quadratic(), settings, name="quadratic"
)
results = comparison.results()

# %% [markdown]
# ## Was the baseline tuned?
#
# The best learning rate must lie inside the grid. At its edge, a better one may lie outside.
# `compare` goes on beyond the edge until the loss rises again.

# %%
for run in comparison.baselines:
    print(f"{run.name}: rate {run.tuned.learning_rate:.3g}")

# %% [markdown]
# ## Is the difference larger than its error?
#
# Every optimizer runs on the same problems. The difference on each problem says more than two
# means, since hard problems are hard for both. The interval is one of 95 %.

# %%
paired = results["paired"]
print(f"learned − {results['best_baseline']}: {paired['difference']:.3f} ± {paired['ci95']:.3f}")
print("verdict:", results["verdict"]["steps"])

# %% [markdown]
# ## How many problems does it win?
#
# A mean may hide that a rule is better on a few problems and worse on most.

# %%
horizon, best = comparison.horizon, comparison.best_baseline
lower = comparison.learned.losses[horizon] < best.losses[horizon]
print(f"lower on {lower.sum()} of {comparison.problems} problems")

# %% [markdown]
# ## How much sooner is it there?
#
# Losses have no unit that means something. The speed-up has: it says how many times fewer steps the
# rule takes to the loss that the best baseline has at the horizon. A step of a rule costs more than
# a step of Adam, and a report has the speed-up in seconds beside it where that was measured.

# %%
found = results["speedup"]["steps"]
print(f"{found['value']:.2f} times, from {found['low']:.2f} to {found['high']:.2f}")

# %% [markdown]
# ## Does it hold after the horizon?
#
# A rule is trained for some number of steps. After that it may stall or diverge. The curves go on
# for twice the horizon, and that half is part of the result.

# %%
path = innerloop.plot_curves(comparison, "read-comparison.png")

# %% [markdown]
# ## A list to go through
#
# 1. Baselines are tuned for the step that is judged, on other problems than those of the test.
# 2. The problems of the test are unseen, and the same for all.
# 3. There is an interval, and it is one of the difference.
# 4. The share of problems that the rule wins agrees with the mean.
# 5. Time is counted, and not steps alone.
# 6. Runs go on beyond the horizon.
# 7. Results on other problems than those of the training are shown, failures included.
#
# `innerloop compare` writes all of these into `report.html`. `innerloop show RUN` opens it.
