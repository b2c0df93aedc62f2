"""How VGG16's features of photographs lie within and between classes, for `vgg16-photographs`.

    python tools/photographs_spread.py [--data DATA] [--kept FOLDER]

14 images of each of miniImageNet's 64 classes of meta-training are embedded, and the mean and both
covariances are written to the package's file: as a factor of 64 columns within classes, one of 63
between them, and a variance for all other directions. Then the accuracy, the temperature and the
calibration error on episodes of 30 images of each of the 16 validation classes are printed. Its
choices are those of `innerloop.fewshot.pretrained`. A quarter of an hour on one core.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from innerloop.datasets import load_miniimagenet
from innerloop.fewshot.calibration import calibration_error, fit_temperature
from innerloop.fewshot.classifiers import unit
from innerloop.fewshot.pretrained import CALIBRATION, SIDE, SPREAD, load_photographs
from innerloop.predict.doubts import softmax
from innerloop.runtime import storage

IMAGES = {"train": 14, "validation": 30}
COLUMNS = {"within": 64, "between": 63}
WAY, QUERIES, EPISODES, BATCH = 5, 15, 600, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="the folder that holds the data")
    parser.add_argument("--kept", type=Path, default=Path("runs/photographs"))
    given = parser.parse_args()
    write(features("train", given.data, given.kept))
    learner = load_photographs(given.data)
    found = features("validation", given.data, given.kept)
    for shot in CALIBRATION:
        logits, labels = answers(learner, found, shot)
        temperature = fit_temperature(logits, labels)
        error = calibration_error(softmax(logits / temperature), labels)
        right = 100 * np.mean(logits.argmax(1) == labels)
        print(f"{shot}: ({temperature:.2f}, {error:.3f}), {right:.2f} %", flush=True)


def features(split: str, data: str | None, kept: Path) -> np.ndarray:
    """Features of some images of each class [classes, images, 512]; kept in a file."""
    file = kept / f"{split}.npy"
    if not file.exists():
        images = load_miniimagenet(split, data)
        random, starts = np.random.default_rng(0), images.starts
        chosen = [
            start + np.sort(random.permutation(count)[: IMAGES[split]])
            for start, count in zip(starts, images.counts, strict=True)
        ]
        pixels = images.images[np.concatenate(chosen)]
        learner = load_photographs(data)
        embed = jax.jit(learner.embed)
        parts = [enlarged(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)]
        kept.mkdir(parents=True, exist_ok=True)
        np.save(file, np.concatenate([np.asarray(embed(jnp.asarray(part))) for part in parts]))
    return np.asarray(unit(jnp.asarray(np.load(file)))).reshape(-1, IMAGES[split], 512)


def enlarged(pixels: np.ndarray) -> np.ndarray:
    images = [Image.fromarray(each) for each in pixels]
    return np.stack([each.resize((SIDE, SIDE), Image.Resampling.BICUBIC) for each in images])


def write(found: np.ndarray) -> None:
    """Mean and covariances of features, as factors, to the package's file."""
    means, each = found.mean(1), found.shape[1]
    rest = (found - means[:, None]).reshape(-1, found.shape[-1])
    within = rest.T @ rest / (len(means) * (each - 1))
    # Means of few images differ by a part of the covariance within too.
    between = np.cov(means.T) - within / each
    arrays = {"mean": means.mean(0).astype(np.float16)}
    for name, covariance in (("within", within), ("between", between)):
        variances, axes = np.linalg.eigh(covariance)
        variances, columns = np.maximum(variances, 0), COLUMNS[name]
        floor = variances[:-columns].mean() if name == "within" else 0.0
        factor = axes[:, -columns:] * np.sqrt(variances[-columns:] - floor)
        arrays[name] = factor.astype(np.float16)
        arrays[f"{name}_rest"] = np.asarray(floor, np.float32)
    recipe = {"kind": "spread", "classes": len(means), "images": each}
    storage.write_named(arrays, SPREAD, recipe, {})


def answers(learner, found: np.ndarray, shot: int) -> tuple[np.ndarray, np.ndarray]:
    """(logits, labels) of the queries of episodes."""
    random, logits = np.random.default_rng(0), []
    seen = jnp.asarray(np.repeat(np.arange(WAY), shot))
    compare = jax.jit(lambda support, query: learner.compare(support, seen, query, WAY))
    for _ in range(EPISODES):
        classes = random.choice(len(found), WAY, replace=False)
        images = np.stack([random.permutation(found.shape[1])[: shot + QUERIES] for _ in classes])
        drawn = found[classes[:, None], images]
        parts = [part.reshape(-1, found.shape[-1]) for part in np.split(drawn, [shot], axis=1)]
        logits.append(np.asarray(compare(*map(jnp.asarray, parts))))
    return np.concatenate(logits), np.tile(np.repeat(np.arange(WAY), QUERIES), EPISODES)


if __name__ == "__main__":
    main()
