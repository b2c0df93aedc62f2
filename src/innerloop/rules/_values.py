"""What a constructor was given, as JSON holds it, where that is more than numbers and texts.

Four things that JSON has not are objects of one key that says what they are, and a rule within a
rule is its description:

    {"tuple": [...]}    {"dict": {...}}    {"shape": [...], "dtype": "float32"}
    {"rule": name, "settings": {...}}
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InnerloopError
from ..runtime.storage import is_numeric


def encode(value: Any, what: str) -> Any:
    """A value in a form that JSON holds; of arrays the shapes and dtypes.

    Raises:
        InnerloopError: The value, which the message calls `what`, is none that a file holds.
    """
    from ._base import Rule
    from .files import describe_rule

    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if is_numeric(value):
        return {"shape": list(value.shape), "dtype": np.dtype(value.dtype).name}
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is list or type(value) is tuple:
        items = [encode(item, f"{what}[{place}]") for place, item in enumerate(value)]
        return {"tuple": items} if type(value) is tuple else items
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {"dict": {name: encode(item, f"{what}[{name!r}]") for name, item in value.items()}}
    if isinstance(value, Rule):
        return describe_rule(value)
    name = getattr(value, "__qualname__", None)
    found = f"the function {name}" if callable(value) and name else f"{value!r:.60}"
    raise InnerloopError(
        f"{what} is {found}, which a file cannot hold; it holds numbers, texts, True, False, None, "
        "arrays, rules, and lists, tuples and dictionaries of them."
    )


def decode(told: Any) -> Any:
    """The inverse of `encode`, with zeros in arrays; to be traced where they may be large."""
    from .files import make_rule

    if isinstance(told, list):
        return [decode(item) for item in told]
    if not isinstance(told, dict):
        return told
    if "shape" in told:
        dtype = jax.dtypes.canonicalize_dtype(jnp.dtype(told["dtype"]))
        return jnp.zeros([int(size) for size in told["shape"]], dtype)
    if "tuple" in told:
        return tuple(decode(item) for item in told["tuple"])
    if "dict" in told:
        return {name: decode(item) for name, item in told["dict"].items()}
    return make_rule(told)
