"""What names images once it has learned from a support set: a learner, or features of one's own.

Both answer the same questions: logits of queries, their features where there are any, and what
would have been said of support images that had not been learned from.
"""

import abc
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ..fewshot._base import MetaLearner, Predictor
from ..fewshot.embedding import MetricLearner
from ..fewshot.episode import Labelled
from ..fewshot.methods.pretrained import PretrainedSettings, classify
from .features import FeatureTable

BATCH_SIZE = 64
"""Images at a time, so that thousands need no more memory than these."""
_FEW = 5  # Large images at a time: one compiled program for any number, and little is wasted.
_LARGE = 100  # Pixels of a side from which on images are large.

Images = UInt8[np.ndarray, "_ side side channels"]
Logits = Float[np.ndarray, "_ way"]
Features = Float[np.ndarray, "_ width"]


@dataclasses.dataclass(frozen=True)
class Support:
    """What is learned from: files, the same files as images, and their classes by number."""

    files: Sequence[Path]
    images: Images
    labels: Int[np.ndarray, " n"]
    way: int


class Judge(abc.ABC):
    """Names images after it has learned from a support set.

    Attributes:
        features: Features of the support images, or None where there are none to compare.
    """

    features: Features | None = None

    @abc.abstractmethod
    def __call__(self, files: Sequence[Path], images: Images) -> tuple[Logits, Features | None]:
        """The logits of queries, and their features where the support has them too."""

    @abc.abstractmethod
    def without(self, out: Int[np.ndarray, " left_out"]) -> Logits:
        """What is said of the support images `out`, learned from all others."""


@final
class ByEmbedding(Judge):
    """A learner that compares embeddings, each of which is computed once.

    Args:
        learner: The learner.
        support: What it learns from.
        transductive: Normalise queries by their common statistics.
        features: Those of the support images, where they are known.
    """

    def __init__(
        self,
        learner: MetricLearner,
        support: Support,
        transductive: bool,
        features: Features | None = None,
    ):
        self._learner, self._support, self._transductive = learner, support, transductive
        self.features = self._embed(support.images, False) if features is None else features

    def __call__(self, files: Sequence[Path], images: Images) -> tuple[Logits, Features | None]:
        assert self.features is not None
        found = self._embed(images, self._transductive)
        return self.name(found), found

    def name(self, features: Features) -> Logits:
        """The logits of queries by their features."""
        assert self.features is not None
        return self._compare(self.features, self._support.labels, features)

    def without(self, out: Int[np.ndarray, " left_out"]) -> Logits:
        assert self.features is not None
        kept = np.delete(np.arange(len(self.features)), out)
        labels = self._support.labels[kept]
        return self._compare(self.features[kept], labels, self.features[out])

    def _compare(self, support: Features, labels: Int[np.ndarray, " n"], query: Features) -> Logits:
        way = self._support.way
        # Filled up, so that few sizes are compiled.
        filled = _fill(query, max(8, _power(len(query))))
        given = jnp.asarray(support), jnp.asarray(labels), jnp.asarray(filled)
        found = _compared(self._learner, *given, way)
        return np.asarray(found)[: len(query)]

    def _embed(self, images: Images, transductive: bool) -> Features:
        if transductive:
            return np.asarray(_embedded(self._learner, jnp.asarray(images), True))
        size = _FEW if images.shape[1] >= _LARGE else min(BATCH_SIZE, _power(len(images)))
        parts = [images[start : start + size] for start in range(0, len(images), size)]
        found = [_embedded(self._learner, jnp.asarray(_fill(part, size)), False) for part in parts]
        return np.concatenate([np.asarray(part) for part in found])[: len(images)]


@final
class ByLearner(Judge):
    """A learner that makes a predictor of a support set in a way of its own."""

    def __init__(
        self, learner: MetaLearner, support: Support, transductive: bool, key: PRNGKeyArray
    ):
        self._learner, self._support, self._key = learner, support, key
        self._transductive = transductive
        self._predict = self._adapted(np.arange(len(support.labels)))

    def __call__(self, files: Sequence[Path], images: Images) -> tuple[Logits, Features | None]:
        size = len(images) if self._transductive else min(BATCH_SIZE, _power(len(images)))
        found = [
            _answers(
                self._predict,
                jnp.asarray(_fill(images[start : start + size], size)),
                self._transductive,
            )
            for start in range(0, len(images), size)
        ]
        return np.concatenate([np.asarray(part) for part in found])[: len(images)], None

    def without(self, out: Int[np.ndarray, " left_out"]) -> Logits:
        predict = self._adapted(np.delete(np.arange(len(self._support.labels)), out))
        return np.asarray(_answers(predict, jnp.asarray(self._support.images[out]), False))

    def _adapted(self, kept: Int[np.ndarray, " kept"]) -> Predictor:
        labels = jnp.asarray(self._support.labels[kept])
        support = Labelled(jnp.asarray(self._support.images[kept]), labels)
        return _adapted(self._learner, support, self._support.way, self._key)


@final
class ByFeatures(Judge):
    """Ridge regression upon features that the user has computed by a network of their own."""

    def __init__(self, table: FeatureTable, support: Support):
        self._table, self._support, self._settings = table, support, PretrainedSettings()
        self.features = table.rows(support.files)

    def __call__(self, files: Sequence[Path], images: Images) -> tuple[Logits, Features | None]:
        assert self.features is not None
        found = self._table.rows(files)
        return self._classify(self.features, self._support.labels, found), found

    def without(self, out: Int[np.ndarray, " left_out"]) -> Logits:
        assert self.features is not None
        kept = np.delete(np.arange(len(self.features)), out)
        return self._classify(self.features[kept], self._support.labels[kept], self.features[out])

    def _classify(
        self, support: Features, labels: Int[np.ndarray, " n"], query: Features
    ) -> Logits:
        given = jnp.asarray(support), jnp.asarray(labels), jnp.asarray(query)
        return np.asarray(classify(self._settings, *given, self._support.way))


def judge_of(
    learner: MetaLearner, support: Support, *, transductive: bool, key: PRNGKeyArray
) -> Judge:
    """A learner as a judge that has learned from a support set."""
    if isinstance(learner, MetricLearner) and learner.keeps_features:
        return ByEmbedding(learner, support, transductive)
    return ByLearner(learner, support, transductive, key)


def _power(number: int) -> int:
    """The next power of two, so that few sizes are compiled."""
    return 1 << max(0, number - 1).bit_length()


def _fill(rows: np.ndarray, size: int) -> np.ndarray:
    """Rows with zeros after them, `size` in all: images are judged alone, whatever is there."""
    return np.pad(rows, [(0, size - len(rows)), *[(0, 0)] * (rows.ndim - 1)])


@eqx.filter_jit
def _embedded(
    learner: MetricLearner, images: UInt8[Array, "n side side channels"], transductive: bool
) -> Float[Array, "n width"]:
    return learner.embed(images, transductive=transductive)


@eqx.filter_jit
def _compared(
    learner: MetricLearner, support: Array, labels: Array, query: Array, way: int
) -> Float[Array, "n way"]:
    return learner.compare(support, labels, query, way)


@eqx.filter_jit
def _adapted(learner: MetaLearner, support: Labelled, way: int, key: PRNGKeyArray) -> Predictor:
    return learner.adapt(support, way, key=key)


@eqx.filter_jit
def _answers(
    predict: Predictor, images: UInt8[Array, "n side side channels"], transductive: bool
) -> Float[Array, "n way"]:
    return predict(images, transductive=transductive)
