"""Beginning meta-training where another learner ended."""

from pathlib import Path

import jax

from ..errors import InnerloopError
from ..runtime.storage import named_leaves
from ._base import MetaLearner
from .files import load
from .network import BLOCKS

_PARAMS = ("params", "initial")  # Of metric meta-learners, and of gradient ones.


def started(learner: MetaLearner, start: str | Path) -> MetaLearner:
    """`learner`, untrained, with the parameters of the saved or shipped learner `start`.

    Their methods may differ: a gradient meta-learner's initialisation and a metric one's
    embedding are parameters of the same network. The four blocks are taken, and the output layer
    if it has as many classes; of what else there is, such as the rule, each part whose arrays
    all fit. Raises `InnerloopError` where `start` cannot be read or its blocks do not fit.
    """
    source, recipe = load(start)
    theirs = {_place(name): leaf for name, leaf in named_leaves(source).items()}
    ours = {_place(name): leaf for name, leaf in named_leaves(learner).items()}
    parts: dict[str, bool] = {}
    for (part, name), leaf in ours.items():
        found = theirs.get((part, name))
        fits = found is not None and found.shape == leaf.shape
        parts[part] = parts.get(part, True) and fits
    if not all(parts[block] for block in BLOCKS):
        raise InnerloopError(
            f"{start} cannot be begun from: it is a {recipe.method} with "
            f"{recipe.settings.get('filters', 32)} filters on images of {recipe.shape.side}×"
            f"{recipe.shape.side}×{recipe.shape.channels}, and its network is another."
        )
    leaves = [theirs[place] if parts[place[0]] else leaf for place, leaf in ours.items()]
    return jax.tree.unflatten(jax.tree.structure(learner), leaves)


def _place(name: str) -> tuple[str, str]:
    """(part, name in it) of a leaf: each layer of the network is a part, and each other field."""
    field, _, rest = name.partition("[")
    if field in _PARAMS:
        layer, _, rest = rest.partition("]")
        return layer.strip("'\""), rest
    return field.partition(".")[0], name
