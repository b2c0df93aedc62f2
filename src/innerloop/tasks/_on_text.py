"""What the tasks that model the characters of a text share."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ..datasets.text import SYMBOLS, load_text
from ._base import TaskFamily
from .mnist import cross_entropy

Params = dict[str, Float[Array, "..."]]
COUNT = len(SYMBOLS)


class OnText(TaskFamily):
    """Cross-entropy (nats a character) of a model that predicts the next character.

    One problem is one run: its own initial weights and minibatches of random pieces. The text is
    that of `innerloop.datasets.text`; its last tenth is for the held-out loss alone.
    """

    text: UInt8[Array, " symbols"]
    held_out_text: UInt8[Array, " held_out"]
    length: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)

    def _prepare(self, length: int, batch: int) -> None:
        text = load_text()
        most = len(text) * 9 // 10
        self.text, self.held_out_text = jnp.asarray(text[:most]), jnp.asarray(text[most:])
        self.length, self.batch = length, batch

    def sample(self, *, key: PRNGKeyArray) -> None:
        """None: problems differ by their keys alone."""

    @abc.abstractmethod
    def logits(
        self, params: Params, symbols: Int[Array, "batch length"]
    ) -> Float[Array, "batch length symbols"]:
        """For each character of each piece, the logits of the one that follows."""

    def loss(self, params: Params, problem: None, *, key: PRNGKeyArray) -> Float[Array, ""]:
        last = len(self.text) - self.length
        starts = jax.random.randint(key, (self.batch,), 0, last)
        return self._loss_of(params, self.text, starts)

    def held_out_loss(
        self, params: Params, problem: None, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        starts = jnp.arange(0, len(self.held_out_text) - self.length, self.length)
        return self._loss_of(params, self.held_out_text, starts)

    def _loss_of(
        self, params: Params, text: UInt8[Array, " symbols"], starts: Int[Array, " n"]
    ) -> Float[Array, ""]:
        pieces = text[starts[:, None] + jnp.arange(self.length + 1)].astype(jnp.int32)
        logits = self.logits(params, pieces[:, :-1])
        return cross_entropy(logits.reshape(-1, COUNT), pieces[:, 1:].ravel().astype(jnp.uint8))
