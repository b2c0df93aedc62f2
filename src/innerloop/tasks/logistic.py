"""Logistic regression on badly scaled data: a convex problem."""

from typing import Annotated, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ..registry import register
from ..runtime.settings import Count, Range, check
from ._base import TaskFamily

Params = tuple[Float[Array, " features"], Float[Array, ""]]


class LogisticProblem(eqx.Module):
    """Data, and which of two classes each row is of."""

    features: Float[Array, "rows features"]
    positive: Bool[Array, " rows"]


@register("logistic")
@final
class Logistic(TaskFamily):
    """Cross-entropy (nats) of logistic regression, with an L2 penalty, on random data.

    A problem has `rows` Gaussian rows whose features have standard deviations log-uniform over
    `decades` decades, mixed by a random matrix, and labels drawn from a random logistic model.
    The penalty ½ · 10⁻³ · ‖w‖² makes it strongly convex. Minibatches are drawn with replacement.

    Parameters are (weights [features], bias []), float32, which begin Gaussian with standard
    deviation 0.1.

    Args:
        features: Features of a row.
        rows: Rows of a problem.
        decades: Decades between the smallest and the largest standard deviation.
        batch: Rows in a minibatch.

    Raises:
        SettingsError: A setting is out of its range.
    """

    features: Count = eqx.field(static=True, default=32)
    rows: Count = eqx.field(static=True, default=256)
    decades: Annotated[float, Range(at_least=0)] = eqx.field(static=True, default=1.5)
    batch: Count = eqx.field(static=True, default=64)

    def __check_init__(self):
        check(self)

    def sample(self, *, key: PRNGKeyArray) -> LogisticProblem:
        keys = jax.random.split(key, 5)
        size = self.features
        exponents = jax.random.uniform(keys[0], (size,), minval=-self.decades, maxval=0.0)
        mixing = jax.random.normal(keys[1], (size, size)) / jnp.sqrt(size)
        rows = (jax.random.normal(keys[2], (self.rows, size)) * 10.0**exponents) @ mixing
        logits = rows @ jax.random.normal(keys[3], (size,))
        chances = jax.nn.sigmoid(3 * logits / jnp.std(logits))
        return LogisticProblem(rows, jax.random.bernoulli(keys[4], chances))

    def init(self, problem: LogisticProblem, *, key: PRNGKeyArray) -> Params:
        weights = 0.1 * jax.random.normal(key, (self.features + 1,))
        return weights[1:], weights[0]

    def loss(self, params: Params, problem: LogisticProblem, *, key: PRNGKeyArray) -> Array:
        weights, bias = params
        chosen = jax.random.randint(key, (self.batch,), 0, self.rows)
        logits = problem.features[chosen] @ weights + bias
        signed = jnp.where(problem.positive[chosen], logits, -logits)
        return jnp.mean(jax.nn.softplus(-signed)) + 0.5e-3 * jnp.sum(weights**2)
