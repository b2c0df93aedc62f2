"""What a safeguard remembers from one step to the next."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

WINDOWS = (5, 40)
"""Steps between two looks at a rule in charge: the first, doubled each time up to the second."""
WAIT = 10
"""Steps before the second trial; ten times as many after each trial that failed."""


class SafeguardState(NamedTuple):
    """Both optimizers, where to go back to, and what was seen of their progress.

    All are arrays; scalars are floats or int32, unless said.
    """

    rule: PyTree
    fallback: PyTree
    kept: PyTree
    """The parameters one step of the fallback after the last point that is trusted."""
    kept_fallback: PyTree
    """The fallback's state there."""
    learned: Bool[Array, ""]
    """Whether the last step was the learned rule's."""
    proven: Bool[Array, ""]
    """Whether it is in charge, and not on trial."""
    age: Int[Array, ""]
    steps: Int[Array, ""]
    """Since the trial or the window began."""
    since: Int[Array, ""]
    """Since the one took over from the other."""
    length: Int[Array, ""]
    """Of the window."""
    wait: Int[Array, ""]
    """Steps of the fallback until the learned rule may be tried."""
    patience: Int[Array, ""]
    """What `wait` will be next."""
    debt: Int[Array, ""]
    """Steps that the fallback has to catch up with."""
    last: Float[Array, ""]
    """The loss before the last step."""
    base: Float[Array, ""]
    """The loss where `kept` was kept."""
    alive: Float[Array, ""]
    """How many coordinates had a gradient other than 0 there."""
    origin: Float[Array, ""]
    """The loss where the learned rule took over."""
    before: Float[Array, ""]
    """The mean loss of the window before."""
    total: Float[Array, ""]
    """The sum of the losses in the window."""
    bound: Float[Array, ""]
    """Σ −∇·u of the fallback's steps u that were not made, in the window."""
    stay: Float[Array, ""]
    """The same since the learned rule took over."""
    promised: Float[Array, ""]
    """The largest |∇·u| of the fallback, fading."""
    progress: Float[Array, ""]
    """The fallback's descent a step, averaged over the last eight."""
    noise: Float[Array, ""]
    """The variance of a loss about that."""
    measured: Int[Array, ""]
    """How many steps have gone into the average."""
    pace: Float[Array, ""]
    """The learned rule's descent a step when it was relieved; 0 when the comparison is over."""


def init_state(
    learner: optax.GradientTransformationExtraArgs,
    plain: optax.GradientTransformationExtraArgs,
    params: PyTree,
) -> SafeguardState:
    """The state before the first step, in which the fallback is in charge."""
    zero, none, no = jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.asarray(False)
    state = SafeguardState(
        rule=learner.init(params),
        fallback=plain.init(params),
        kept=params,
        kept_fallback=plain.init(params),
        learned=no,
        proven=no,
        age=none,
        steps=none,
        since=none,
        length=none + WINDOWS[0],
        wait=none,
        patience=none + WAIT,
        debt=none,
        last=zero,
        base=zero,
        alive=zero,
        origin=zero,
        before=zero,
        total=zero,
        bound=zero,
        stay=zero,
        promised=zero,
        progress=zero,
        noise=zero,
        measured=none,
        pace=zero,
    )
    # Each leaf in a buffer of its own, so that the state can be donated.
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)
