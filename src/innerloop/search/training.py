"""Meta-training that is given time instead of a number of steps."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

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
        if self._estimator is None:
            return
        mesh = problem_mesh(self._estimator.meta_batch_size)
        optimizer = optax.chain(
            optax.clip_by_global_norm(_CLIP),
            candidate.optimizer(scene, self.rule),
            optax.inject_hyperparams(optax.scale)(step_size=1.0),
        )
        self._calm = flags(False, mesh)
        self._stepper = Stepper(replicate(scene.task, mesh), self._estimator, optimizer, mesh)
        self._key = scene.key
        self._state: TrainState | None = None

    @property
    def goes_on(self) -> bool:
        """Whether more seconds can make it better."""
        if self._estimator is None:
            return False
        return self._state is None or int(self._state.in_row) < _PATIENCE

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
        if not self.goes_on:
            return
        if self._state is None:
            self._state = self._stepper.init(self.rule, self._key)
        began = clock()
        state, used = self._state, 0.0
        while used < seconds and not stopped():
            if cool and self.steps % 8 == 0:
                state = self._cooled(state, np.cos(np.pi / 2 * used / seconds))
            state = self._stepper(state, self._calm)
            jax.block_until_ready(state.step)
            self.steps += 1
            if self.steps % 8 == 0 and int(state.in_row) >= _PATIENCE:
                break
            used = clock() - began
        self._state = state
        # A copy: the next step uses up the arrays of the state.
        self.rule = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), state.learner)

    def _cooled(self, state: TrainState, scale: float) -> TrainState:
        value = replicate(jnp.asarray(scale, jnp.float32), self._stepper.mesh)
        return eqx.tree_at(lambda each: each.optimizer[-1].hyperparams["step_size"], state, value)
