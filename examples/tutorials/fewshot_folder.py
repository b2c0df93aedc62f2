# %% [markdown]
# # Few-shot learning from a folder of images
#
# You have a few images of each of your classes in folders, and many without a label. A shipped
# meta-learner learns your classes from those few, and names the others. It does not train: it was
# trained to learn.
#
# ## Two folders
#
# The support folder has one folder for each class. The query folder has images to name. Here both
# are made of handwritten characters that come with the package. The learner has not seen these
# characters in training.

# %%
from pathlib import Path

from PIL import Image

import innerloop
from innerloop import fewshot, predict

data = innerloop.datasets.load_omniglot("test", rotations=False)
classes = [0, 60, 120, 180, 240]
truth = []
for number in classes:
    folder = Path("support") / data.names[number].replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    Path("query").mkdir(exist_ok=True)
    images = data.images[data.starts[number] :][:20]
    Image.fromarray(images[0, ..., 0]).save(folder / "one.png")
    for n, image in enumerate(images[1:5]):
        Image.fromarray(image[..., 0]).save(Path("query") / f"{number:03}-{n}.png")
        truth.append(folder.name)
print(sorted(each.name for each in Path("support").iterdir()))

# %% [markdown]
# ## Name the queries

# %%
learner = fewshot.load("protonet-omniglot-5w-1s")
found = predict.adapt_folder(
    learner, fewshot.TrainingData(dataset="omniglot"), "support", "query", invert="no"
)
right = sum(a == b for a, b in zip(found.labels, truth, strict=True))
print(f"{right} of {len(truth)} queries are named rightly")

# %% [markdown]
# `found.probabilities` has the share of each class. Low shares are worth a look by eye.

# %%
least = found.probabilities.max(axis=1).argsort()[:3]
for n in least:
    print(found.names[n], "→", found.labels[n], f"{found.probabilities[n].max():.2f}")

# %% [markdown]
# ## See how good it is in general
#
# One folder is one episode. The accuracy over many episodes, with its interval, says what to expect.

# %%
import jax

sampler = fewshot.EpisodeSampler(data, way=5, shot=1, queries=5)
accuracies = fewshot.evaluate(learner, sampler, key=jax.random.key(0), episodes=30)
mean, half = fewshot.interval(accuracies)
print(f"{100 * mean:.1f} ± {100 * half:.1f} % over {len(accuracies)} episodes")

# %% [markdown]
# ## From the command line
#
# ```sh
# innerloop fewshot adapt protonet-omniglot-5w-1s --support mine --query unknown
# ```
#
# For photographs, train on photographs: `innerloop fewshot train protonet --data FOLDER`. A learner of
# characters knows nothing of colours.
