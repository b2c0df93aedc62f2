"""What memory a learner takes to adapt, from its shapes alone, before anything is computed."""

import math
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..datasets.budget import machine_memory
from ..errors import FileError
from ._base import MetaLearner

_PART = 0.8
"""The share of the machine's memory that one support set may take."""
_GIB = 1 << 30


def check_memory(learner: MetaLearner, name: str) -> None:
    """Raises `FileError` where a support set's activations would not fit into the machine's memory.

    A header of a few bytes can ask for images and classes that fill any machine.

    Args:
        learner: The learner. Its arrays may be shapes.
        name: What messages call it.
    """
    needed, there = support_bytes(learner), machine_memory()
    if needed > _PART * there:
        shape = learner.shape
        raise FileError(
            f"{name} needs about {needed / _GIB:,.0f} GiB of memory for {shape.way} classes of "
            f"{shape.shot} images of {shape.side}×{shape.side}×{shape.channels}; this machine has "
            f"{there / _GIB:,.1f} GiB."
        )


def support_bytes(learner: MetaLearner) -> int:
    """The bytes of what the backbone computes of a support set, were all of it kept."""
    shape = learner.shape
    backbone: Any = learner.backbone
    image = jax.ShapeDtypeStruct((1, shape.side, shape.side, shape.channels), jnp.uint8)
    params = eqx.filter_eval_shape(backbone.init, key=jax.random.key(0))
    traced, *_ = eqx.filter_make_jaxpr(backbone.features)(params, image)
    each = sum(_bytes(variable) for variable in _computed(traced.jaxpr))
    return each * shape.way * shape.shot


def _computed(jaxpr: Any) -> Iterator[Any]:
    """What the equations give, those within functions in their place."""
    for equation in jaxpr.eqns:
        inner = [
            getattr(value, "jaxpr", value)
            for value in equation.params.values()
            if hasattr(getattr(value, "jaxpr", value), "eqns")
        ]
        if not inner:
            yield from equation.outvars
        for each in inner:
            yield from _computed(each)


def _bytes(variable: Any) -> int:
    shape = getattr(variable.aval, "shape", ())
    return math.prod(shape) * getattr(getattr(variable.aval, "dtype", None), "itemsize", 0)
