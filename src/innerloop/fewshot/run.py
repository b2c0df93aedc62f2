"""Training and evaluating few-shot methods by name, as the commands do."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..data.class_images import ClassImages
from ..errors import InnerloopError
from ..folders import writable, write_output
from ..metatrain import Trained
from ..options import parse_settings
from ..tensors import shown
from ._base import MetaLearner
from .baselines import BatchSampler, PixelNeighbour
from .episode import EpisodeSampler
from .evaluation import check_finite, evaluate, interval
from .files import Recipe, load
from .gradient import GradientMetaLearner
from .methods import Shape, find_method, inner_steps, trained_jointly
from .recipes import DEMO, training_for
from .sources import NAMES, check_way, load_images, short_name
from .start import started
from .training import train, with_rule_at

_TEST = 2**32 - 7  # Folded into the seed's key for the test episodes.


def train_method(
    method: str,
    *,
    data: str,
    way: int,
    shot: int,
    out: Path,
    queries: int | None = None,
    training_way: int | None = None,
    flip: bool | None = None,
    shift: int | None = None,
    warp: float | None = None,
    rule_learning_rate: float | None = None,
    seed: int = 0,
    resume: bool = False,
    start: str | None = None,
    settings: Sequence[str] = (),
    loop: dict[str, Any] | None = None,
    side: int = 84,
    grey: bool = False,
    data_dir: str | None = None,
    tensorboard: bool = False,
    resume_hint: str = "run the same command with --resume",
    leave_within: float | None = None,
) -> Trained:
    """Train `method` into the folder `out`, with `loop` and `settings` over its recipe's own.

    `training_way` is how many classes an episode of training has, if not as many as `way` or as
    the recipe says; `flip`, `shift` and `warp` are those of `Augmentation` and
    `rule_learning_rate` is the rule's own, where they are not the recipe's. `settings` are the
    method's, each written KEY=VALUE. `start` is the saved or shipped learner to begin at, see
    `started`, and with 0 steps to stay at. Raises `InnerloopError` for a method, setting, start
    or data that there is not, and what training raises.
    """
    find_method(method)
    if way < 2:
        raise InnerloopError(f"way is {way}; there must be two or more classes to tell apart.")
    asked = {
        "queries": queries,
        "flip": flip,
        "shift": shift,
        "warp": warp,
        "rule_learning_rate": rule_learning_rate,
    }
    recipe_of = dataclasses.replace(
        training_for(method, data),
        **{name: value for name, value in asked.items() if value is not None},
    )
    given = parse_settings(settings, find_method(method), f"the method {method}")
    options: dict[str, Any] = {"data_dir": data_dir, "side": side, "grey": grey, "seed": seed}
    check_way(data, way, seed)  # Before any image is read.
    images = load_images(data, "train", **options)
    held_out = load_images(data, "validation", **options)
    recipe = Recipe(
        method=method,
        data=short_name(data),
        shape=Shape(
            way=way,
            shot=shot,
            side=images.images.shape[1],
            channels=images.images.shape[3],
            classes=len(images.counts),
        ),
        settings={**recipe_of.method, **given},
        source=None if data in NAMES else str(Path(data).absolute()),
        split_seed=seed,
    )
    learner = recipe.make(key=jax.random.key(seed))
    if start is not None:
        learner = started(learner, start)
    changed = dict(loop or {})
    as_it_is = start is not None and changed.get("steps") == 0
    if as_it_is:
        changed.pop("steps")
    loop_settings = dataclasses.replace(recipe_of.loop, **changed)
    meta_optimizer, rule_rate = None, recipe_of.rule_learning_rate
    if rule_rate is not None:
        _check_has_rule(method, learner, rule_rate)
        times = rule_rate / loop_settings.learning_rate
        meta_optimizer = with_rule_at(loop_settings.meta_optimizer(), times)
    per_class, augment = recipe_of.queries, recipe_of.augmentation()
    compares = inner_steps(learner) == 0
    if training_way is not None and (trained_jointly(learner) or not compares):
        raise InnerloopError(
            f"Training with {training_way} classes is for methods that compare; a learner of the "
            f"method {method} is trained with {'all' if trained_jointly(learner) else way}."
        )
    if trained_jointly(learner):
        problems = BatchSampler(images, batch=recipe_of.batch, augment=augment)
    else:
        # A learner that only compares can be trained with more classes than it is to tell apart.
        ways = min(recipe_of.way or way, len(images.counts)) if compares else way
        ways = training_way or ways
        problems = EpisodeSampler(images, way=ways, shot=shot, queries=per_class, augment=augment)
    validation = EpisodeSampler(held_out, way=way, shot=shot, queries=per_class)
    description = {
        **dataclasses.asdict(recipe),
        "start": start,
        "seed": seed,
        "queries": per_class,
        "training_way": training_way,
        "rule_learning_rate": rule_rate,
        "flip": augment.flip,
        "shift": augment.shift,
        "warp": augment.warp,
        "training": {**dataclasses.asdict(loop_settings), **({"steps": 0} if as_it_is else {})},
    }
    remembered = (
        *("start", "seed", "queries", "training_way", "rule_learning_rate"),
        *("flip", "shift", "warp", "training"),
    )
    return train(
        learner,
        problems,
        validation,
        recipe=recipe,
        settings=loop_settings,
        meta_optimizer=meta_optimizer,
        seed=seed,
        out=out,
        resume=resume,
        progress=True,
        tensorboard=tensorboard,
        resume_hint=resume_hint,
        leave_within=leave_within,
        run={name: description[name] for name in remembered},
        as_it_is=as_it_is,
        asked=description,
    )


def _check_has_rule(method: str, learner: MetaLearner, rate: float) -> None:
    if not rate > 0:
        raise InnerloopError(f"rule_learning_rate is {rate}; it must be positive.")
    if not isinstance(learner, GradientMetaLearner) or not learner.learn_rule:
        raise InnerloopError(f"The method {method} learns no rule for a rate of {rate}.")


def evaluate_learner(
    learner: MetaLearner,
    recipe: Recipe,
    *,
    data: str | None = None,
    split: str = "test",
    episodes: int = 600,
    queries: int = 15,
    transductive: bool = False,
    seed: int = 0,
    data_dir: str | None = None,
) -> dict[str, Any]:
    """The learner's accuracy on fresh episodes of `split`, as results.json has it.

    Raises `InnerloopError` where the data's images are of another size than the learner's,
    `split` is none, `episodes` is under 2, of which there is no interval, or the learner's logits
    are not finite in any of them.
    """
    if episodes < 2:
        raise InnerloopError(f"episodes is {episodes}; an interval needs at least 2.")
    shape, name = recipe.shape, data or learned_on(recipe)
    images = images_for(recipe, data=data, split=split, data_dir=data_dir)
    sampler = EpisodeSampler(images, way=shape.way, shot=shape.shot, queries=queries)
    key = jax.random.fold_in(jax.random.key(seed), np.uint32(_TEST))
    accuracies = evaluate(learner, sampler, key=key, episodes=episodes, transductive=transductive)
    check_finite(accuracies, recipe.name)
    accuracy, half = interval(accuracies)
    return {
        "method": recipe.method,
        "data": short_name(name),
        "way": shape.way,
        "shot": shape.shot,
        "query": queries,
        "episodes": episodes,
        "accuracy": accuracy,
        "ci95": half,
        "inner_steps": inner_steps(learner),
        "transductive": transductive,
        "seed": seed,
        "split": split,
    }


def learned_on(recipe: Recipe) -> str:
    """The built-in data that the learner of `recipe` learned on.

    A file names no folder to read: raises `InnerloopError` where that is a user's own.
    """
    if recipe.source is None and recipe.data in NAMES:
        return recipe.data
    raise InnerloopError(
        f"The learner learned on {shown(recipe.source or recipe.data)}, which does not come with "
        "innerloop; give the images that it is to be tested on with --data."
    )


def images_for(
    recipe: Recipe,
    *,
    data: str | None = None,
    split: str = "test",
    data_dir: str | None = None,
) -> ClassImages:
    """The images of one split, of the size that the learner of `recipe` learned on.

    They are those of `data`, or of the built-in data that it learned on, whose classes are split
    as they were in training, whatever the seed of the episodes. Raises `InnerloopError` where
    they are of another size, `split` is none, or `data` is needed.
    """
    if split not in ("train", "validation", "test"):
        raise InnerloopError(f"split is '{split}'; it must be train, validation or test.")
    shape = recipe.shape
    name = data or learned_on(recipe)
    images = load_images(
        name,
        split,
        data_dir=data_dir,
        side=shape.side,
        grey=shape.channels == 1,
        seed=recipe.split_seed,
    )
    if images.images.shape[1:] != (shape.side, shape.side, shape.channels):
        height, width, channels = images.images.shape[1:]
        raise InnerloopError(
            f"{name} has images of {width}×{height}×{channels}; {recipe.name} learned on "
            f"{shape.side}×{shape.side}×{shape.channels}."
        )
    return images


def demo(*, out: Path, seed: int = 0) -> list[dict[str, Any]]:
    """Train the Meta-Learner LSTM on Omniglot, 5-way 1-shot, for a minute or two, and test it.

    Beside it what the images' pixels alone give. Returns both rows of results.json.
    """
    train_method(
        DEMO.method,
        data=DEMO.data,
        way=DEMO.way,
        shot=DEMO.shot,
        out=out,
        seed=seed,
        settings=DEMO.settings,
        loop=DEMO.loop,
    )
    learner, recipe = load(out)
    pixels = dataclasses.replace(recipe, method="pixels")
    results = [
        evaluate_learner(learner, recipe, seed=seed),
        evaluate_learner(PixelNeighbour(), pixels, seed=seed),
    ]
    write_results(results, out)
    return results


def write_results(results: Any, folder: Path) -> None:
    """`results` as results.json in `folder`."""
    write_output(writable(folder) / "results.json", json.dumps(results, indent=2) + "\n")
