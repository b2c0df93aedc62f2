"""Meta-training that is given time instead of a number of steps."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..metatrain import MetaGradient
from ..metatrain.step import Stepper, TrainState
from ..rules import Rule
from ..runtime.devices import flags, problem_mesh, replicate
from ._base import Candidate, Scene

_CLIP = 1.0
_PATIENCE = 20  # Steps in a row without a finite gradient, after which nothing more is learned.


class Training:
    """One candidate in training: it goes on for as many seconds as it is given.

    Args:
        candidate: The rule × recipe.
        scene: What it is told.
        former: The rule that it came to in an earlier part of the search.
    """

    def __init__(self, candidate: Candidate, scene: Scene, former: Rule | None = None):
        self.rule: Rule = candidate.rule(scene) if former is None else former
        self.steps = 0
        self._estimator = candidate.estimator(scene)
        self._warm_up = candidate.warm_up(scene)
        if former is not None and not candidate.warms_up_again:
            self._warm_up = None
        self._candidate, self._scene = candidate, scene
        self._first: _Run | None = None
        self._run: _Run | None = None

    @property
    def goes_on(self) -> bool:
        """Whether more seconds can make it better."""
        return self._estimator is not None and (self._run is None or not self._run.lost)

    def advance(
        self,
        seconds: float,
        stopped: Callable[[], bool],
        clock: Callable[[], float],
        *,
        cool: bool = False,
    ) -> None:
        """Train for some seconds, compilation included.

        Args:
            seconds: From now.
            stopped: Whether to stop at once.
            clock: What seconds are counted by.
            cool: Let the meta-learning rate fall to 0 until the end.
        """
        if self._estimator is None:
            return
        began, least, stop = clock(), seconds / 2, _Stop(stopped, clock)
        candidate = self._candidate
        if self._warm_up is not None:
            if self._first is None:
                optimizer = candidate.warm_up_optimizer(self._scene, self.rule)
                self._first = _Run(self.rule, self._warm_up, optimizer, self._scene)
            self._advance(self._first, candidate.warm_up_share * seconds, least, stop, cool)
            least = 0.0
            if not candidate.warms_up_again:
                self._first = self._warm_up = None
        if self._run is None:
            optimizer = candidate.optimizer(self._scene, self.rule)
            self._run = _Run(self.rule, self._estimator, optimizer, self._scene)
        self._advance(self._run, seconds - (clock() - began), least, stop, cool)

    def _advance(
        self, run: "_Run", seconds: float, least: float, stop: "_Stop", cool: bool
    ) -> None:
        before = run.steps
        run.take(self.rule)
        run.advance(seconds, least, stop, cool=cool)
        self.steps += run.steps - before
        self.rule = run.rule()


@dataclasses.dataclass(frozen=True)
class _Stop:
    """When to stop: by the clock, or because it is asked for."""

    stopped: Callable[[], bool]
    clock: Callable[[], float]


class _Run:
    """Meta-steps with one estimator."""

    def __init__(
        self,
        rule: Rule,
        estimator: MetaGradient,
        optimizer: optax.GradientTransformation,
        scene: Scene,
    ):
        mesh = problem_mesh(estimator.meta_batch_size)
        optimizer = optax.chain(
            optax.clip_by_global_norm(_CLIP),
            optimizer,
            optax.inject_hyperparams(optax.scale)(step_size=1.0),
        )
        self.steps, self.lost = 0, False
        self._calm = flags(False, mesh)
        self._stepper = Stepper(replicate(scene.task, mesh), estimator, optimizer, mesh)
        self._state = self._stepper.init(rule, scene.key)

    def take(self, rule: Rule) -> None:
        """Go on from a rule that has been trained by another estimator meanwhile."""
        # Of copies, since the next step uses up the arrays of the state.
        learner = replicate(jax.tree.map(jnp.copy, rule), self._stepper.mesh)
        self._state = eqx.tree_at(lambda each: each.learner, self._state, learner)

    def rule(self) -> Rule:
        """The rule so far: a copy, since the next step uses up the arrays of the state."""
        return jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), self._state.learner)

    def advance(self, seconds: float, least: float, stop: _Stop, *, cool: bool = False) -> None:
        """Make meta-steps for some seconds, and for at least some after the first is compiled."""
        began, used, state = stop.clock(), 0.0, self._state
        while (used < seconds or (self.steps == 0 and least > 0)) and not self.lost:
            if stop.stopped():
                break
            if cool and self.steps % 8 == 0:
                state = self._cooled(state, np.cos(np.pi / 2 * used / seconds))
            state = self._stepper(state, self._calm)
            jax.block_until_ready(state.step)
            self.steps += 1
            self.lost = self.steps % 8 == 0 and int(state.in_row) >= _PATIENCE
            used = stop.clock() - began
            if self.steps == 1:  # It was compiled: who is judged must have been trained.
                seconds = max(seconds, used + least)
        self._state = state

    def _cooled(self, state: TrainState, scale: float) -> TrainState:
        value = replicate(jnp.asarray(scale, jnp.float32), self._stepper.mesh)
        return eqx.tree_at(lambda each: each.optimizer[-1].hyperparams["step_size"], state, value)
