# %% [markdown]
# # Use a shipped rule in PyTorch
#
# `innerloop.torch.load` makes a `torch.optim.Optimizer` from a file of a learned rule. It goes wherever
# `torch.optim.Adam` goes. The file is the same as for JAX, and so are the steps. JAX is not imported.
#
# PyTorch is an extra: `pip install 'innerloop[torch]'`.
#
# ## A problem
#
# A small network learns noisy labels that another network made.

# %%
import torch

import innerloop.torch

torch.manual_seed(0)
teacher = torch.nn.Sequential(torch.nn.Linear(20, 40), torch.nn.ReLU(), torch.nn.Linear(40, 5))
inputs = torch.randn(5000, 20)
with torch.no_grad():
    labels = torch.multinomial((10 * teacher(inputs)).softmax(1), 1).squeeze(1)


def network():
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Linear(20, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 5),
    )


# %% [markdown]
# ## A loop of your own
#
# The loop is the usual one. The rules that run in PyTorch need the gradients alone, not the loss.


# %%
def train(model, optimizer, steps=300, seed=2):
    draw = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        batch = torch.randint(len(inputs), (128,), generator=draw)
        loss = torch.nn.functional.cross_entropy(model(inputs[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% [markdown]
# ## The general rule needs no rate
#
# Most rules are for the problems that they were trained on. `general` is for others. It needs no learning
# rate: its steps are relative to the parameters. It is the rule of `innerloop.general()` in JAX.

# %%
model = network()
learned = train(model, innerloop.torch.load("general", model.parameters()))

# %% [markdown]
# Where you know the length of the run, give it as `steps`. The schedule of the steps is then a warm-up and a
# cosine, and the run ends with small steps.

# %%
model = network()
told = train(model, innerloop.torch.load("general", model.parameters(), steps=300))

# %% [markdown]
# ## Look at the runs
#
# Adam is run with its default rate and with the best of a few rates. To find the best one took a run for
# each.

# %%
adam = {}
for rate in (0.001, 0.003, 0.01, 0.03, 0.1):
    model = network()
    adam[rate] = train(model, torch.optim.Adam(model.parameters(), lr=rate))


def end(losses):
    return sum(losses[-50:]) / 50


best = min(adam, key=lambda rate: end(adam[rate]))
print(f"general:              {end(learned):.3f}")
print(f"general, steps=300:   {end(told):.3f}")
print(f"Adam, default rate:   {end(adam[0.001]):.3f}")
print(f"Adam, rate {best:<10} {end(adam[best]):.3f}")

# %%
from innerloop.plots.canvas import new_figure, save


def smooth(losses, width=20):
    return [sum(losses[max(0, t - width) : t]) / min(t, width) for t in range(1, len(losses) + 1)]


figure = new_figure(7, 4)
axes = figure.subplots()
axes.plot(smooth(learned), label="general", color="#D55E00", linewidth=2.5)
axes.plot(smooth(told), label="general, steps=300", color="#D55E00", linestyle="--")
axes.plot(smooth(adam[0.001]), label="Adam, default rate", color="#56B4E9")
axes.plot(smooth(adam[best]), label=f"Adam, rate {best}", color="#0072B2")
axes.set_xlabel("step")
axes.set_ylabel("loss, mean of the last 20 steps")
axes.legend(frameon=False)
path = save(figure, "torch-rule.png")

# %% [markdown]
# Here the rule ends between the two: below Adam with its default rate, and above Adam with the best one. To be
# told the length of the run does not help here; on larger problems [it did](../log/2026-general-rule.md). A
# step of the rule also takes longer than one of Adam. One problem proves nothing, in either direction: see
# [Read a comparison honestly](read_comparison.md).
#
# ## Parameter groups
#
# `lr` is a factor of all steps. It is not a learning rate: 1 is what the rule was trained with. A group may
# have its own `lr`, `weight_decay` and `maximize`, and schedulers set `lr` as they do for Adam.

# %%
model = network()
optimizer = innerloop.torch.load(
    "general",
    [
        {"params": model[0].parameters(), "lr": 0.5},
        {"params": [*model[2].parameters(), *model[4].parameters()], "weight_decay": 0.001},
    ],
)
losses = train(model, optimizer, steps=100)
print(f"from {losses[0]:.2f} to {losses[-1]:.2f}")

# %% [markdown]
# ## Stop and go on
#
# `state_dict` has the rule's state and the groups' settings. A run that goes on from it makes the same steps
# as one that was not interrupted. The length of the run is not in it: give `steps` again.

# %%
import io

model = network()
optimizer = innerloop.torch.load("general", model.parameters(), steps=300)
train(model, optimizer, steps=50)
file = io.BytesIO()
torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
train(model, optimizer, steps=50, seed=3)

file.seek(0)
saved = torch.load(file, weights_only=True)
resumed = network()
resumed.load_state_dict(saved["model"])
optimizer = innerloop.torch.load("general", resumed.parameters(), steps=300)
optimizer.load_state_dict(saved["optimizer"])
train(resumed, optimizer, steps=50, seed=3)
print(all(torch.equal(a, b) for a, b in zip(model.parameters(), resumed.parameters(), strict=True)))

# %% [markdown]
# ## What is refused
#
# An error is a sentence that says what is accepted.


# %%
import re
import textwrap


def refused(act):
    try:
        act()
    except innerloop.InnerloopError as error:
        sentence = re.sub(r"\S*[/\\]", "", str(error))  # Without the folder of a file.
        print(textwrap.fill(f"- {sentence}", 76, subsequent_indent="  "))


params = list(network().parameters())
refused(lambda: innerloop.torch.load("general", params, lr=-1.0))
refused(lambda: innerloop.torch.load("general", params, steps=0))
refused(lambda: innerloop.torch.load("ntm-bfgs-quadratic", params))
other = innerloop.torch.load("lstm-mnist", params)
refused(lambda: other.load_state_dict(saved["optimizer"]))
imaginary = torch.nn.Parameter(torch.zeros(2, dtype=torch.complex64))
refused(lambda: innerloop.torch.load("general", [imaginary]))

# %%
embedding = torch.nn.Embedding(10, 3, sparse=True)
optimizer = innerloop.torch.load("general", embedding.parameters())
embedding(torch.tensor([1])).sum().backward()
refused(optimizer.step)

# %% [markdown]
# ## Where to go on
#
# - `innerloop.torch.safeguard(rule, torch.optim.Adam(...))` puts the rule behind a fallback, as
#   [in Optax](optax_rule.md#add-a-fallback). Its `step` needs the loss.
# - Mixed precision, Accelerate and Lightning: [examples/frameworks](../../examples/frameworks/torch_mnist.py).
# - Every argument: [the reference](../reference/torch.md).
