"""Meta-training of a meta-learner on episodes."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key, PRNGKeyArray

from .. import keys
from ..errors import InnerloopError, RunError
from ..metatrain import Judge, LoopSettings, MetaGradient, RunOptions, Trained, meta_train
from ..runtime.folders import only_one, refuse_links, writable
from ..runtime.hosts import is_first
from ..runtime.interrupts import Interrupted
from ..runtime.promotion import usual_promotion
from ..runtime.runfile import FILE as RUN_FILE, remember
from ..runtime.settings import Count, Positive, Range, to_dict
from ._base import MetaLearner
from .batches import BatchSampler
from .episode import EpisodeSampler
from .evaluation import evaluate
from .files import FILE, TrainingData, check_savable, method_of, save
from .kept import Kept, keep
from .tuning import tune

_NO_BEST = (
    "No validation gave an accuracy, since in each of them some logits were not finite: there is "
    "no learner to keep. Try a smaller learning_rate."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpisodeSettings(LoopSettings):
    """The loop of training on episodes.

    Raises:
        SettingsError: A setting has another type, or is out of its range.

    Example:
        >>> from innerloop import fewshot
        >>> settings = fewshot.EpisodeSettings(steps=100, meta_batch_size=4)
        >>> settings.learning_rate
        0.001
    """

    steps: Annotated[int, Range(at_least=0)] = 6000
    """Meta-steps: updates of the meta-learner. With 0 the learner is taken as it is, and tuned."""
    meta_batch_size: Count = 1
    """Episodes (or batches) of a meta-step."""
    learning_rate: Positive = 1e-3
    optimizer: Literal["adam", "sgd"] = "adam"
    """The meta-optimizer: Adam, or SGD with Nesterov momentum 0.9 and a warm-up over the first
    twentieth of the steps. Its rate falls to zero along a cosine."""
    weight_decay: Annotated[float, Range(at_least=0)] = 0.0
    """What SGD adds of each kernel or matrix to its gradient; Adam has none."""
    rule_learning_rate: Positive | None = None
    """The meta-learning rate of a gradient meta-learner's rule; None for `learning_rate`. A rule
    has few numbers, which may have far to go; an initialisation that is good already has many,
    which should not."""
    validate_every: Count = 500
    validation_problems: Count = 200

    def meta_optimizer(self) -> optax.GradientTransformation:
        """The meta-optimizer with clipping and its schedule; faster for the rule, if asked."""
        common = self._sgd() if self.optimizer == "sgd" else super().meta_optimizer()
        if self.rule_learning_rate is None:
            return common
        return _with_rule_at(common, self.rule_learning_rate / self.learning_rate)

    def _sgd(self) -> optax.GradientTransformation:
        def matrices(tree: Any) -> Any:
            return jax.tree.map(lambda leaf: jnp.ndim(leaf) > 1, tree)

        schedule = optax.warmup_cosine_decay_schedule(
            0.0, self.learning_rate, max(1, self.steps // 20), self.steps
        )
        return optax.chain(
            optax.clip_by_global_norm(self.clip),
            optax.add_decayed_weights(self.weight_decay, mask=matrices),
            optax.sgd(schedule, momentum=0.9, nesterov=True),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpisodeOptions(RunOptions):
    """Where a run on episodes writes, and how it reports.

    Example:
        >>> from innerloop import fewshot
        >>> data = fewshot.TrainingData(name="omniglot", dataset="omniglot")
        >>> fewshot.EpisodeOptions(data=data, progress=True).resume
        False
    """

    data: TrainingData | None = None
    """What the learner learns on, for the header of its file."""


class EpisodesState(eqx.Module):
    """The keys of the episodes that come next."""

    key: Key[Array, " problems"]


@final
class EpisodeGradient(MetaGradient):
    """The gradient of the meta-loss of fresh episodes (or batches), one after another.

    How far it reaches through the inner loop is the meta-learner's own affair.

    Args:
        meta_batch_size: Episodes of a meta-step.
        way: Classes of an episode.

    Example:
        >>> from innerloop import fewshot
        >>> fewshot.EpisodeGradient(meta_batch_size=4, way=5).meta_batch_size
        4
    """

    meta_batch_size: int = eqx.field(static=True, default=1)
    way: int = eqx.field(static=True, default=5)

    def init(self, rule: Any, task: Any, *, key: PRNGKeyArray) -> EpisodesState:
        return EpisodesState(jax.random.split(key, self.meta_batch_size))

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
        following = jax.vmap(keys.next_problem)(state.key)
        metrics = {"meta_loss": jnp.mean(losses), "diverged": jnp.mean(~jnp.isfinite(losses))}
        gradient = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), gradients)
        return gradient, EpisodesState(following), metrics


def _with_rule_at(
    meta_optimizer: optax.GradientTransformation, times: float
) -> optax.GradientTransformation:
    """`meta_optimizer` with updates of a gradient meta-learner's rule `times` as large."""

    def scale(updates: Any, params: Any) -> Any:
        faster = jax.tree.map(lambda update: times * update, updates.rule)
        return eqx.tree_at(lambda updates: updates.rule, updates, faster)

    return optax.chain(meta_optimizer, optax.stateless(scale))


@usual_promotion()
def train(
    learner: MetaLearner,
    source: EpisodeSampler | BatchSampler,
    validation: EpisodeSampler,
    *,
    settings: EpisodeSettings | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    options: RunOptions | None = None,
) -> Trained:
    """Train a meta-learner, and keep the best by its error on episodes of other classes.

    At the end, settings that the method tunes are chosen on the same validation episodes.

    Args:
        learner: The learner to begin with.
        source: Draws what it is trained on: episodes, or batches where `learner.trained_on` is
            "batches". Episodes may have more classes than those of validation.
        validation: Draws episodes of classes that are not trained on.
        settings: The loop's: how many meta-steps, at which learning rate, validated how often.
        seed: From 0 to 2³² − 1. The same seed gives the same numbers on the same machine.
        out: A folder for metrics.jsonl, checkpoints and learner.safetensors, the best learner so
            far; None to write nothing.
        resume: Go on from the newest checkpoint in `out`.
        options: What else concerns the run's surroundings; an `EpisodeOptions` can name the data.

    Returns:
        The best learner, ready for use, and its error on validation episodes.

    Raises:
        InnerloopError: The learner is not trained on what `source` draws, or cannot be saved
            though there is a folder to save it in; and what `innerloop.train` raises.
        Interrupted: After Ctrl-C or SIGTERM, with a checkpoint.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> from innerloop import datasets, fewshot
        >>> pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 1), np.uint8)
        >>> images = datasets.ClassImages(pixels, (4, 4, 4), ("a", "b", "c"))
        >>> episodes = fewshot.EpisodeSampler(images, way=2, shot=1, queries=1)
        >>> shape = fewshot.Shape(way=2, shot=1, side=16, channels=1, classes=3)
        >>> learner = fewshot.make_learner("protonet", shape, key=jax.random.key(0))
        >>> settings = fewshot.EpisodeSettings(steps=1, validation_problems=2)
        >>> fewshot.train(learner, episodes, episodes, settings=settings).steps
        1
    """
    began = time.perf_counter()
    settings = settings or EpisodeSettings()
    options = options or EpisodeOptions()
    if out is not None or resume:
        options = dataclasses.replace(options, out=out or options.out, resume=resume)
    _check(learner, source, settings, options)
    loop_key, validation_key, finalize_key = jax.random.split(jax.random.key(seed), 3)
    run = _Episodes(learner, source, validation, settings, options, validation_key, finalize_key)
    trained = run.train(loop_key)
    best, tried = run.tune(trained.rule)
    if tried:
        error = 1.0 - max(each["accuracy"] for each in tried if each["accuracy"] is not None)
        trained = dataclasses.replace(trained, validation=error)
    return dataclasses.replace(trained, rule=best, seconds=time.perf_counter() - began)


def _check(learner: MetaLearner, source: Any, settings: EpisodeSettings, options: Any) -> None:
    """Raises `InnerloopError` for what would fail after hours of training."""
    drawn = "batches" if isinstance(source, BatchSampler) else "episodes"
    if learner.trained_on != drawn:
        raise InnerloopError(
            f"{type(learner).__name__} is trained on {learner.trained_on}; source draws {drawn}."
        )
    if settings.rule_learning_rate is not None and not learner.learns_rule:
        raise InnerloopError(
            f"rule_learning_rate is {settings.rule_learning_rate}, but {type(learner).__name__} "
            "learns no rule.",
            arguments=("rule_learning_rate",),
        )
    if options.out is not None:
        check_savable(learner)


@dataclasses.dataclass(frozen=True)
class _Episodes:
    """One run: how its learners are made ready, judged, kept and tuned."""

    learner: MetaLearner
    source: Any
    validation: EpisodeSampler
    settings: EpisodeSettings
    options: RunOptions
    validation_key: PRNGKeyArray
    finalize_key: PRNGKeyArray
    ready: list[tuple[MetaLearner, MetaLearner]] = dataclasses.field(default_factory=list)
    """The learner that was made ready last, before and after: it is judged, kept and tuned."""

    def train(self, key: PRNGKeyArray) -> Trained:
        """The best learner by validation, not finalized."""
        if not self.settings.steps:
            return self._take()
        # Training may draw more classes than are to be told apart; a batch has no such number.
        way = getattr(self.source, "way", self.validation.way)
        learner, source = self.learner, self.source
        kept = self._kept()
        if kept is not None:
            learner, source = kept.learner(learner), kept.sampler
        trained = meta_train(
            learner,
            source,
            estimator=EpisodeGradient(self.settings.meta_batch_size, way),
            judge=Judge(validate=self.validate, keep=self.keep, no_best=_NO_BEST),
            settings=self.settings,
            key=key,
            options=self.options,
        )
        return dataclasses.replace(trained, rule=self._whole(trained.rule))

    def _kept(self) -> Kept | None:
        """The features of the images of training, where no meta-step changes them."""
        if self.learner.learns_embedding or not isinstance(self.source, EpisodeSampler):
            return None
        episodes = self.settings.steps * self.settings.meta_batch_size
        return keep(self.learner, self.source, episodes)

    def _whole(self, learner: MetaLearner) -> MetaLearner:
        """The learner with its backbone, which features may have stood for."""
        return eqx.tree_at(lambda learner: learner.backbone, learner, self.learner.backbone)

    def _take(self) -> Trained:
        """The learner that a run without meta-steps is begun with, kept as it is."""
        error = self.validate(self.learner)
        if not np.isfinite(error):
            name = method_of(self.learner)
            raise RunError(f"{name} has no accuracy: its logits are no finite numbers.")
        if self.options.out is not None and is_first():
            out = writable(self.options.out)
            with only_one(out):
                self._check_free(out)
                if self.options.description is not None:
                    asked = self.options.description
                    remember(out / RUN_FILE, asked, resume=self.options.resume)
                self.keep(self.learner, out)
        return Trained(self.learner, error, steps=0, skipped=0, seconds=0.0)

    def _check_free(self, out: Path) -> None:
        """Raises `InnerloopError` where the folder has a run that this one does not go on with."""
        refuse_links(out / "checkpoints")
        if not self.options.resume and (out / "checkpoints").is_dir():
            raise RunError(
                f"{out} holds a training run already; name another folder.", arguments=("out",)
            )

    def tune(self, learner: MetaLearner) -> tuple[MetaLearner, list[dict[str, Any]]]:
        """(the learner ready for use and tuned, what was tried)."""
        try:
            best, tried = tune(
                self.finalize(learner),
                self.validation,
                key=self.validation_key,
                episodes=self.settings.validation_problems,
            )
        except KeyboardInterrupt:
            raise Interrupted(
                f"Stopped while settings were tuned; to continue, {self.options.resume_hint}"
            ) from None
        if tried and self.options.out is not None and is_first():
            with only_one(Path(self.options.out)):
                self.save(best, Path(self.options.out), tuning=tried)
        return best, tried

    def finalize(self, learner: MetaLearner) -> MetaLearner:
        if not self.ready or self.ready[0][0] is not learner:
            made = self._whole(learner).finalize(self.source, key=self.finalize_key)
            self.ready[:] = [(learner, made)]
        return self.ready[0][1]

    def validate(self, learner: MetaLearner) -> float:
        """The error on validation episodes; NaN where a logit is no finite number."""
        accuracies = evaluate(
            self.finalize(learner),
            self.validation,
            key=self.validation_key,
            episodes=self.settings.validation_problems,
        )
        return 1.0 - float(accuracies.mean())

    def keep(self, learner: MetaLearner, folder: Path) -> None:
        self.save(self.finalize(learner), folder)

    def save(self, learner: MetaLearner, folder: Path, **more: Any) -> None:
        asked: Any = self.options.description or {}
        asked = to_dict(asked) if dataclasses.is_dataclass(asked) else dict(asked)
        data = self.options.data if isinstance(self.options, EpisodeOptions) else None
        save(learner, folder / FILE, data=data, run={**asked, **more})
