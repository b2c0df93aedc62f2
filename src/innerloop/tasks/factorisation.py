"""Completing a matrix of low rank from some of its entries."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..registry import register
from ..runtime.settings import Count, Positive, check
from ._base import TaskFamily

Params = dict[str, Float[Array, "..."]]


@register("factorisation")
@final
class Factorisation(TaskFamily):
    """Mean squared error of a product of two thin matrices on random entries of a random matrix.

    A problem is a matrix: a product of rank `rank` with Gaussian factors, row and column effects,
    and noise; entries have a variance of about 3. A minibatch has entries drawn with replacement
    from the half that is observed, the same half throughout. The held-out loss is over the other.

    Parameters are a dictionary of float32 arrays: "rows" [rows, factors], "columns"
    [columns, factors], "row_effects" [rows] and "column_effects" [columns].

    Args:
        rows: Rows of the matrix.
        columns: Columns of the matrix.
        rank: The rank of the matrix without its effects and noise.
        factors: Columns of the two thin matrices.
        noise: Standard deviation of the noise.
        batch: Entries in a minibatch.

    Raises:
        SettingsError: A setting is out of its range.
    """

    rows: Count = eqx.field(static=True, default=256)
    columns: Count = eqx.field(static=True, default=192)
    rank: Count = eqx.field(static=True, default=4)
    factors: Count = eqx.field(static=True, default=6)
    noise: Positive = eqx.field(static=True, default=0.1)
    batch: Count = eqx.field(static=True, default=1024)

    def __check_init__(self):
        check(self)

    def sample(self, *, key: PRNGKeyArray) -> Float[Array, "rows columns"]:
        """The matrix."""
        keys = jax.random.split(key, 5)
        left = jax.random.normal(keys[0], (self.rows, self.rank)) / jnp.sqrt(self.rank)
        right = jax.random.normal(keys[1], (self.columns, self.rank))
        effects = jax.random.normal(keys[2], (self.rows, 1))
        effects = effects + jax.random.normal(keys[3], (self.columns,))
        noise = self.noise * jax.random.normal(keys[4], (self.rows, self.columns))
        return left @ right.T + effects + noise

    def init(self, problem: Float[Array, "rows columns"], *, key: PRNGKeyArray) -> Params:
        row_key, column_key = jax.random.split(key)
        return {
            "rows": 0.1 * jax.random.normal(row_key, (self.rows, self.factors)),
            "columns": 0.1 * jax.random.normal(column_key, (self.columns, self.factors)),
            "row_effects": jnp.zeros(self.rows),
            "column_effects": jnp.zeros(self.columns),
        }

    def loss(
        self, params: Params, problem: Float[Array, "rows columns"], *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        return self._on(params, problem, 0, key)

    def held_out_loss(
        self, params: Params, problem: Float[Array, "rows columns"], *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        return self._on(params, problem, 1, key)

    def _on(
        self, params: Params, problem: Float[Array, "rows columns"], half: int, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """The loss on entries like the black squares of a chessboard, or on those of the white."""
        row_key, column_key = jax.random.split(key)
        row = jax.random.randint(row_key, (self.batch,), 0, self.rows)
        pair = jax.random.randint(column_key, (self.batch,), 0, -(-self.columns // 2))
        column = jnp.minimum(2 * pair + (row + half) % 2, self.columns - 1)
        product = jnp.sum(params["rows"][row] * params["columns"][column], axis=-1)
        found = product + params["row_effects"][row] + params["column_effects"][column]
        return jnp.mean((found - problem[row, column]) ** 2)
