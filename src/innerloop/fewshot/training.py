"""Meta-training of a meta-learner on episodes."""

import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Key, PRNGKeyArray

from ..errors import InnerloopError
from ..folders import only_one, remember, writable
from ..hosts import is_first
from ..metatrain import LoopSettings, MetaGradient, Trained, meta_train
from ..metatrain.interrupt import Interrupt, Interrupted
from ._base import MetaLearner
from .baselines import BatchSampler
from .episode import EpisodeSampler
from .evaluation import evaluate
from .files import FILE, Recipe, save
from .tuning import tuned

_NEXT = 2**32 - 1  # Folded into a key for its successor's.


class EpisodesState(eqx.Module):
    """The keys of the episodes that come next."""

    key: Key[Array, " problems"]


@final
class EpisodeGradient(MetaGradient):
    """The gradient of the meta-loss of `problems` fresh episodes, one after another.

    How far it reaches through the inner loop is the meta-learner's own affair.
    """

    problems: int = eqx.field(static=True, default=1)
    way: int = eqx.field(static=True, default=5)

    def init(self, rule: Any, task: Any, *, key: PRNGKeyArray) -> EpisodesState:
        return EpisodesState(jax.random.split(key, self.problems))

    def estimate(
        self, rule: Any, task: Any, state: EpisodesState
    ) -> tuple[Any, EpisodesState, dict[str, Any]]:
        @eqx.filter_value_and_grad
        def meta_loss(learner, episode, key):
            return learner.meta_loss(episode, self.way, key=key)

        def one(key):
            episode_key, loss_key = jax.random.split(key)
            return meta_loss(rule, task.sample(key=episode_key), loss_key)

        losses, gradients = jax.lax.map(one, state.key)
        keys = jax.vmap(lambda key: jax.random.fold_in(key, jnp.uint32(_NEXT)))(state.key)
        metrics = {"meta_loss": jnp.mean(losses), "diverged": jnp.mean(~jnp.isfinite(losses))}
        gradient = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), gradients)
        return gradient, EpisodesState(keys), metrics


def with_rule_at(
    meta_optimizer: optax.GradientTransformation, times: float
) -> optax.GradientTransformation:
    """`meta_optimizer` whose updates of a gradient meta-learner's rule are so many times as large.

    A rule has few numbers, which may have far to go; an initialisation that is good already has
    many, which should not.
    """

    def scale(updates: Any, params: Any) -> Any:
        faster = jax.tree.map(lambda update: times * update, updates.rule)
        return eqx.tree_at(lambda updates: updates.rule, updates, faster)

    return optax.chain(meta_optimizer, optax.stateless(scale))


def train(
    learner: MetaLearner,
    train_problems: EpisodeSampler | BatchSampler,
    validation: EpisodeSampler,
    *,
    recipe: Recipe,
    settings: LoopSettings,
    meta_optimizer: optax.GradientTransformation | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    mesh: Mesh | None = None,
    progress: bool = False,
    tensorboard: bool = False,
    resume_hint: str = "call train again with resume=True",
    leave_within: float | None = None,
    run: dict[str, Any] | None = None,
    as_it_is: bool = False,
    asked: dict[str, Any] | None = None,
) -> Trained:
    """Train `learner`, and keep the best by its error on episodes of other classes.

    With a folder `out`, writes there `metrics.jsonl`, checkpoints, and `learner.safetensors`.
    At the end what the method has to be tuned is tuned on the same episodes, see `tuned`.
    With `as_it_is` that is all: no gradient is followed. `asked` is as in `innerloop.train`.
    Raises what `innerloop.train` raises.
    """
    began = time.perf_counter()
    # Training may draw more classes than are to be told apart; in a batch there is no such number.
    way = train_problems.way if isinstance(train_problems, EpisodeSampler) else validation.way
    loop_key, validation_key, gather_key = jax.random.split(jax.random.key(seed), 3)

    def ready(learner: MetaLearner) -> MetaLearner:
        return learner.gathered(train_problems, key=gather_key)

    def validate(learner: MetaLearner) -> float:
        accuracies = evaluate(
            ready(learner), validation, key=validation_key, episodes=settings.validation_problems
        )
        return 1.0 - float(accuracies.mean())

    def keep(learner: MetaLearner, folder: Path) -> None:
        save(ready(learner), recipe, folder / FILE, run=run)

    if as_it_is:
        error = validate(learner)
        if not np.isfinite(error):
            raise InnerloopError(f"{recipe.name} has no accuracy: its logits are not finite.")
        trained = Trained(learner, error, steps=0, skipped=0, seconds=0.0)
        if out is not None and is_first():
            _take(Path(out), resume, asked, lambda folder: keep(learner, folder))
    else:
        trained = meta_train(
            learner,
            train_problems,
            meta_gradient=EpisodeGradient(problems=settings.problems, way=way),
            validate=validate,
            keep=keep,
            settings=settings,
            key=loop_key,
            meta_optimizer=meta_optimizer,
            out=out,
            resume=resume,
            mesh=mesh,
            progress=progress,
            tensorboard=tensorboard,
            resume_hint=resume_hint,
            leave_within=leave_within,
            asked=asked,
            no_best="No validation gave an accuracy, since in each of them some logits were not "
            "finite: there is no learner to keep. Try a smaller --learning-rate.",
        )
    stopped = f"Stopped while settings were tuned; to continue, {resume_hint}."
    interrupt = Interrupt(leave_within, lambda: stopped)
    # Without the clock a library's user would wait for the end of it.
    with interrupt if leave_within is not None else contextlib.nullcontext():
        best, recipe, tried = tuned(
            ready(trained.rule),
            recipe,
            validation,
            key=validation_key,
            episodes=settings.validation_problems,
        )
        if interrupt.asked:
            interrupt.answer()
            raise Interrupted(stopped)
    if tried:
        error = 1.0 - max(each["accuracy"] for each in tried if each["accuracy"] is not None)
        trained = dataclasses.replace(trained, validation=error)
        if out is not None and is_first():
            with only_one(Path(out)):
                save(best, recipe, Path(out) / FILE, run={**(run or {}), "tuning": tried})
    return dataclasses.replace(trained, rule=best, seconds=time.perf_counter() - began)


def _take(
    out: Path, resume: bool, asked: dict[str, Any] | None, keep: Callable[[Path], None]
) -> None:
    """Keep a learner that was not trained in a folder that no other run has."""
    with only_one(writable(out)):
        if not resume and (out / "checkpoints").is_dir():
            raise InnerloopError(f"{out} holds a training run already; give another --out.")
        if asked is not None:
            remember(out / "settings.json", asked, resume)
        keep(out)
