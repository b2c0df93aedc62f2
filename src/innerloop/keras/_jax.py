"""The steps of a rule on Keras's backend for JAX."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ..rules.files import load


class Steps:
    """A rule whose state is a flat list of arrays.

    Args:
        path: The rule's file.
        steps: The length of the run, for rules that have a schedule over it; or None.
    """

    def __init__(self, path: Path, steps: int | None):
        rule: Any = load(path)
        told = steps is not None and hasattr(rule, "with_horizon")
        self._rule = rule.with_horizon(steps) if told else rule

    def init(self, params: list[Any]) -> list[Any]:
        """The state of these parameters."""
        state = self._rule.init(params)
        self._structure = jax.tree.structure(state)
        return jax.tree.leaves(state)

    def update(
        self, grads: list[Any], state: list[Any], params: list[Any]
    ) -> tuple[list[Any], list[Any]]:
        """(steps, state); a gradient that is None counts as 0."""
        grads = [jnp.zeros_like(p) if g is None else g for g, p in zip(grads, params, strict=True)]
        tree = jax.tree.unflatten(self._structure, state)
        steps, tree = self._rule.update(grads, tree, params)
        return steps, jax.tree.leaves(tree)
