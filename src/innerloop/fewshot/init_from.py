"""Beginning meta-training where another learner ended."""

from pathlib import Path

import jax

from ..errors import InnerloopError
from ..runtime.storage import named_leaves
from ._base import MetaLearner
from .files import load, method_of


def init_from(learner: MetaLearner, source: str | Path) -> MetaLearner:
    """An untrained learner with the parameters of a saved or shipped one.

    Their methods may differ: a gradient meta-learner's initialisation and a metric one's
    embedding are parameters of the same backbone. All layers of the backbone are taken, and the
    output layer if it has as many classes; of what else there is, such as the rule, each part
    whose arrays all fit.

    Args:
        learner: The learner that is to be trained.
        source: A shipped learner's name, a file, or a run's folder.

    Returns:
        A learner of the class of `learner`.

    Raises:
        InnerloopError: `source` cannot be read, or its backbone's layers do not fit.

    Example:
        >>> import jax
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=5, shot=1, side=28, channels=1, classes=100)
        >>> backbone = fewshot.Conv4(side=28, channels=1, filters=64)
        >>> learner = fewshot.make_learner("maml", shape, backbone, key=jax.random.key(0))
        >>> type(fewshot.init_from(learner, "protonet-omniglot-5w-1s")).__name__
        'MAML'
    """
    other = load(source)
    theirs = {_place(name): leaf for name, leaf in named_leaves(other).items()}
    ours = {_place(name): leaf for name, leaf in named_leaves(learner).items()}
    parts: dict[str, bool] = {}
    for (part, name), leaf in ours.items():
        found = theirs.get((part, name))
        fits = found is not None and found.shape == leaf.shape
        parts[part] = parts.get(part, True) and fits
    if not all(parts[layer] for layer in learner.backbone.layers):
        raise InnerloopError(
            f"Training cannot begin from {source}: its backbone is {other.backbone}, a "
            f"{method_of(other)}'s, and this learner's is {learner.backbone}."
        )
    leaves = [theirs[place] if parts[place[0]] else leaf for place, leaf in ours.items()]
    return jax.tree.unflatten(jax.tree.structure(learner), leaves)


def _place(name: str) -> tuple[str, str]:
    """(part, name in it) of a leaf: each layer of the network is a part, and each other field."""
    field, _, rest = name.partition("[")
    if field == "params":
        layer, _, rest = rest.partition("]")
        return layer.strip("'\""), rest
    return field.partition(".")[0], name
