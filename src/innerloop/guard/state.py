"""What a safeguard remembers from one step to the next."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from .watch import Watch, first_watch


class SafeguardState(NamedTuple):
    """Both optimizers, where to go back to, and what was seen of their progress."""

    rule: PyTree
    fallback: PyTree
    kept: PyTree
    """The parameters one step of the fallback after the last point that is trusted."""
    kept_fallback: PyTree
    """The fallback's state there."""
    watch: Watch


def init_state(
    learner: optax.GradientTransformationExtraArgs,
    plain: optax.GradientTransformationExtraArgs,
    params: PyTree,
) -> SafeguardState:
    """The state before the first step, in which the fallback is in charge."""
    state = SafeguardState(
        rule=learner.init(params),
        fallback=plain.init(params),
        kept=params,
        kept_fallback=plain.init(params),
        watch=first_watch(jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.asarray(False)),
    )
    # Each leaf in a buffer of its own, so that the state can be donated.
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)
