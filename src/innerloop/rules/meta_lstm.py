"""The Meta-Learner LSTM's update of the parameters (Ravi & Larochelle 2017)."""

from typing import Any, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..errors import InnerloopError
from ..registry import register
from ._base import Rule
from ._flat import check_grads, check_params, ravel, unravel_like
from .check import check_given
from .lstm import CellState, LSTMLayer
from .preprocess import log_and_sign

PREPROCESSING = 10.0
"""p of the preprocessing, for the gradient and for the loss; as published."""
Forget = Literal["learned", "one"]


class MetaLSTMState(eqx.Module):
    """Each coordinate's (h, c) of the first layer, and its gates before the sigmoid.

    `gates` has the input gate in its first row and the forget gate in its second.
    """

    cell: CellState
    gates: Float[Array, "2 coordinates"]


@register("meta-lstm")
@final
class MetaLSTMRule(Rule):
    """Gradient descent as an LSTM's cell: θ_t = f_t ⊙ θ_{t−1} − i_t ⊙ ∇L_t.

    The input gate i is a learned learning rate, and the forget gate f a learned weight decay. Each
    is a sigmoid of an affine function of the first layer's output, of θ_{t−1}, and of the gate one
    step before (before its sigmoid, and 0 at the start, as in the authors' code). The first layer
    is a plain LSTM of four features: the preprocessed gradient and loss. All coordinates share the
    weights and have states of their own. For weights of its own in each layer of a learner, use a
    `MultiRule`.

    Weights and biases begin uniform in ±0.01, b_F in (4, 5) and b_I in (−5, −4), as published. θ_0,
    the cell's initial state, is the meta-learner's and not the rule's. `update` needs `params` and
    `value`, the loss at them. Updates keep each leaf's dtype; the rule computes in float32.

    Args:
        key: Draws the initial weights.
        hidden: Units of the first layer, 1 or more.
        forget: "learned", or "one": f is 1, and the rule is a learned learning rate alone.
        rate: The input gate at the start, between 0 and 1; None for the published b_I.
        keep: The forget gate at the start, between 0 and 1; None for the published b_F.

    Raises:
        InnerloopError: A setting is out of its range; in `update`, `params` or `value` is missing.

    Example:
        >>> import innerloop
        >>> import jax
        >>> import jax.numpy as jnp
        >>> rule = innerloop.MetaLSTMRule(key=jax.random.key(0), hidden=2, rate=0.1, keep=0.99)
        >>> params = jnp.zeros(3)
        >>> state = rule.init(params)
        >>> updates, state = rule.update(jnp.ones(3), state, params, value=jnp.asarray(1.0))
        >>> updates.shape
        (3,)

    References:
        Ravi & Larochelle, "Optimization as a model for few-shot learning" (ICLR 2017), equations
        (2) to (5).
    """

    layer: LSTMLayer
    gate_weight: Float[Array, "2 hidden+2"]
    """Rows as in `MetaLSTMState.gates`; columns: the first layer's output, θ, the gate itself."""
    gate_bias: Float[Array, " 2"]
    hidden: int = eqx.field(static=True)
    forget: Forget = eqx.field(static=True)

    def __init__(
        self,
        *,
        key: PRNGKeyArray,
        hidden: int = 20,
        forget: Forget = "learned",
        rate: float | None = None,
        keep: float | None = None,
    ):
        if hidden < 1:
            raise InnerloopError(f"hidden is {hidden}; it must be at least 1.")
        if forget not in ("learned", "one"):
            raise InnerloopError(f"forget is '{forget}'; it must be 'learned' or 'one'.")
        for name, gate in {"rate": rate, "keep": keep}.items():
            if gate is not None and not 0 < gate < 1:
                raise InnerloopError(f"{name} is {gate}; a gate is between 0 and 1.")
        self.hidden, self.forget = hidden, forget
        keys = jax.random.split(key, 5)

        def small(key: PRNGKeyArray, like: Array) -> Array:
            return jax.random.uniform(key, like.shape, minval=-0.01, maxval=0.01)

        layer = LSTMLayer(4, hidden, key=keys[0])
        self.layer = eqx.tree_at(
            lambda layer: (layer.weight, layer.bias),
            layer,
            (small(keys[0], layer.weight), small(keys[1], layer.bias)),
        )
        self.gate_weight = small(keys[2], jnp.zeros((2, hidden + 2)))

        def begin(gate: float | None, key: PRNGKeyArray, low: float) -> Array:
            if gate is None:
                return jax.random.uniform(key, (), minval=low, maxval=low + 1)
            return jax.scipy.special.logit(jnp.asarray(gate, jnp.float32))

        self.gate_bias = jnp.stack([begin(rate, keys[3], -5.0), begin(keep, keys[4], 4.0)])

    def init(self, params: PyTree) -> MetaLSTMState:
        check_params(params)
        coordinates = sum(jnp.size(leaf) for leaf in jax.tree.leaves(params))
        dtype = self.gate_bias.dtype
        cell = [jnp.zeros((self.hidden, coordinates), dtype) for _ in range(2)]
        return MetaLSTMState((cell[0], cell[1]), jnp.zeros((2, coordinates), dtype))

    def update(
        self,
        grads: PyTree,
        state: MetaLSTMState,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, MetaLSTMState]:
        check_given("The Meta-Learner LSTM", params=params, value=value)
        check_grads(grads, state.gates.shape[-1])
        dtype = self.gate_bias.dtype
        # Recomputed on the way back: what is kept of a step is its state, not its gates.
        step, state = eqx.filter_checkpoint(_step)(
            self, ravel(grads, dtype), ravel(params, dtype), jnp.asarray(value, dtype), state
        )
        return unravel_like(step, grads), state

    def gates(self, state: MetaLSTMState) -> tuple[Array, Array]:
        """(input gates, forget gates) of the step that led to `state`, each [coordinates]."""
        enter, keep = jax.nn.sigmoid(state.gates)
        return enter, keep if self.forget == "learned" else jnp.ones_like(keep)


def _step(
    rule: MetaLSTMRule,
    gradient: Float[Array, " coordinates"],
    params: Float[Array, " coordinates"],
    loss: Float[Array, ""],
    state: MetaLSTMState,
) -> tuple[Float[Array, " coordinates"], MetaLSTMState]:
    losses = jnp.broadcast_to(log_and_sign(loss, PREPROCESSING)[:, None], (2, gradient.size))
    inputs = jnp.concatenate([log_and_sign(gradient, PREPROCESSING), losses])
    hidden, cell = rule.layer(inputs, state.cell)
    seen, at_params, before = jnp.split(rule.gate_weight, [rule.hidden, rule.hidden + 1], axis=1)
    gates = (
        seen @ hidden + at_params * params[None] + before * state.gates + rule.gate_bias[:, None]
    )
    step = -jax.nn.sigmoid(gates[0]) * gradient
    if rule.forget == "learned":
        # f − 1 without the cancellation: θ_t − θ_{t−1} = (f − 1) θ_{t−1} − i ∇L.
        step = step - jax.nn.sigmoid(-gates[1]) * params
    return step, MetaLSTMState(cell, gates)
