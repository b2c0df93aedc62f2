"""Meta-learners in files: safetensors with a header of names and settings, and no code."""

import dataclasses
from importlib import resources
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .. import registry
from ..errors import InnerloopError
from ..runtime import storage
from ..runtime.promotion import usual_promotion
from ..runtime.settings import check, from_dict, to_dict
from ._base import MetaLearner, Shape
from .making import make_backbone, make_learner, settings_of_backbone
from .memory import check_memory
from .methods.pretrained import Pretrained
from .pretrained import PHOTOGRAPHS, load_photographs

FILE = "learner.safetensors"
EMBEDDINGS = "embeddings"
"""The folder of shipped arrays that several learners have in common."""
_FORMAT = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The images that a learner learned on.

    Attributes:
        name: What a learner's name calls them: "omniglot", or the name of a folder.
        dataset: The name that their dataset is registered by, or None.
        settings: The settings of that dataset.

    Example:
        >>> from innerloop import fewshot
        >>> fewshot.TrainingData(name="omniglot", dataset="omniglot").settings
        {}
    """

    name: str = "images"
    dataset: str | None = None
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        check(self)


def method_of(learner: MetaLearner) -> str:
    """The name that a learner's class is registered by, or the class's own."""
    return registry.name_of(type(learner)) or type(learner).__name__


def name_of(learner: MetaLearner, data: TrainingData) -> str:
    """METHOD-DATA-Nw-Ks, as shipped learners are called; a pretrained learner has its own name."""
    if isinstance(learner, Pretrained):
        return learner.known_as
    return f"{method_of(learner)}-{data.name}-{learner.shape.way}w-{learner.shape.shot}s"


def save(
    learner: MetaLearner,
    path: str | Path,
    *,
    data: TrainingData | None = None,
    run: dict[str, Any] | None = None,
    embedding: str | None = None,
) -> Path:
    """Write a learner to a file, which is made whole before it replaces what is there.

    Args:
        learner: A learner whose class and backbone are registered.
        path: The file.
        data: What it learned on.
        run: What is to be remembered of its training, as JSON can hold it.
        embedding: A shipped embedding's name; arrays that are equal to its own are left out.

    Returns:
        The file's path.

    Raises:
        InnerloopError: The learner cannot be saved, or the file cannot be written.

    Example:
        >>> import jax, tempfile
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=5, shot=1, side=28, channels=1, classes=100)
        >>> learner = fewshot.make_learner("protonet", shape, key=jax.random.key(0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = fewshot.save(learner, folder + "/mine.safetensors")
        ...     again = fewshot.load(path)
        >>> again.backbone == learner.backbone
        True
    """
    header = _header(learner)
    header["data"] = to_dict(data or TrainingData())
    header["embedding"] = embedding
    known = {} if embedding is None else _embedding(embedding, Path(path))
    arrays = {
        name: leaf
        for name, leaf in storage.named_leaves(learner.for_use()).items()
        if name not in known or not np.array_equal(known[name], leaf)
    }
    return storage.write_named(arrays, path, header, run or {})


@usual_promotion()
def check_savable(learner: MetaLearner) -> None:
    """Raises `InnerloopError` where a learner could not be saved and loaded again."""
    header = _header(learner)
    made = storage.named_leaves(_template(header))
    mine = storage.named_leaves(learner.for_use())
    shapes = [
        {name: (leaf.shape, leaf.dtype) for name, leaf in each.items()} for each in (made, mine)
    ]
    if shapes[0] != shapes[1]:
        raise InnerloopError(
            f"{method_of(learner)} cannot be saved: made again from its shape, backbone and "
            "settings it has other arrays. What they depend on must be a setting."
        )


def load(path_or_name: str | Path) -> MetaLearner:
    """A meta-learner from a file.

    Args:
        path_or_name: A file, a training run's folder, a shipped learner's name, hf://USER/NAME for
            one on the Hugging Face Hub, or "vgg16-photographs", whose weights an extra brings.

    Returns:
        The learner, ready for use.

    Raises:
        InnerloopError: There is no such file or name, or the file is damaged, of another kind or
            version, or of a class that is not registered in this process.

    Example:
        >>> from innerloop import fewshot
        >>> fewshot.load("protonet-omniglot-5w-1s").way is None
        True
    """
    return load_with_data(path_or_name)[0]


@usual_promotion()
def load_with_data(path_or_name: str | Path) -> tuple[MetaLearner, TrainingData]:
    """(the learner, what it learned on); the rest is as in `load`."""
    if str(path_or_name) == PHOTOGRAPHS and not Path(path_or_name).exists():
        return load_photographs(), TrainingData(name="imagenet")
    path = _find(path_or_name)
    header, arrays = storage.read(path)
    _check_kind(header, path)
    try:
        storage.check_numbers(header["settings"], header["shape"], header["backbone"])
        data = from_dict(TrainingData, header["data"])
        template = _template(header)
    except Exception as error:  # A header that is no header of ours.
        raise InnerloopError(
            f"{path} is damaged: its settings make no {storage.shown(header['method'])}."
        ) from error
    if header.get("embedding") is not None:
        wanted = storage.named_leaves(template)
        shared = _embedding(header["embedding"], path)
        arrays = {**{name: each for name, each in shared.items() if name in wanted}, **arrays}
    learner = storage.fill(template, arrays, path)
    check_memory(learner, str(path))
    return learner, data


def describe(path_or_name: str | Path) -> dict[str, Any]:
    """The header of a saved or shipped meta-learner.

    Args:
        path_or_name: A file, a training run's folder, or a shipped learner's name.

    Returns:
        `method`, `backbone`, `settings`, `shape`, `data`, `versions` and `run`, as JSON holds them.

    Raises:
        InnerloopError: There is no such file or name, or the file is damaged.

    Example:
        >>> from innerloop import fewshot
        >>> fewshot.describe("protonet-omniglot-5w-1s")["method"]
        'protonet'
    """
    return storage.read(_find(path_or_name))[0]


def shipped_file(name: str) -> Path:
    """The file of a shipped meta-learner, even where the present folder has something of that name.

    Raises `InnerloopError` where none is shipped under it.
    """
    return storage.shipped_file(name, "meta-learner", "fewshot")


def shipped() -> list[str]:
    """The names of the meta-learners that come with the package."""
    return storage.shipped("fewshot")


def _find(path_or_name: str | Path) -> Path:
    return storage.find(path_or_name, FILE, "meta-learner", "fewshot")


def _header(learner: MetaLearner) -> dict[str, Any]:
    names: dict[str, str] = {}
    for kind, cls in (("method", type(learner)), ("backbone", type(learner.backbone))):
        name = registry.name_of(cls)
        if name is None:
            raise InnerloopError(
                f"{cls.__name__} cannot be saved, as it has no name: write "
                f'@innerloop.register("a-name") above its class.'
            )
        names[kind] = name
    return {
        "format": _FORMAT,
        "method": names["method"],
        "backbone": {
            "name": names["backbone"], "settings": settings_of_backbone(learner.backbone)
        },
        "settings": to_dict(learner.settings),
        "shape": to_dict(learner.shape),
    }  # fmt: skip


def _template(header: dict[str, Any]) -> MetaLearner:
    """The learner that a header describes, with shapes in the place of arrays."""
    shape = from_dict(Shape, header["shape"])
    backbone = make_backbone(
        header["backbone"]["name"],
        header["backbone"]["settings"],
        side=shape.side,
        channels=shape.channels,
    )

    def make() -> MetaLearner:
        return make_learner(
            header["method"], shape, backbone, header["settings"], key=jax.random.key(0)
        ).for_use()

    return eqx.filter_eval_shape(make)


def _check_kind(header: dict[str, Any], path: Path) -> None:
    """Raises `InnerloopError` unless the file holds a learner of known classes and version."""
    method, backbone = header.get("method"), header.get("backbone")
    if not isinstance(method, str):
        raise InnerloopError(f"{path} holds no meta-learner.")
    storage.check_format(header, path, _FORMAT)
    name = backbone.get("name") if isinstance(backbone, dict) else None
    for kind, each in (("method", method), ("backbone", name)):
        if not isinstance(each, str) or each not in registry.members(kind):
            raise InnerloopError(
                f"{path} needs the {kind} '{storage.shown(each)}', which is not registered: "
                f"import the module that registers it, or give its {kind} as "
                "path/to/file.py:NAME."
            )


def _embedding(name: Any, path: Path) -> dict[str, np.ndarray]:
    """The arrays of a shipped embedding. A name is no path: files cannot point elsewhere."""
    if name not in storage.shipped(EMBEDDINGS):
        raise InnerloopError(
            f"{path} needs the embedding '{storage.shown(name)}', which this version of "
            "innerloop does not have."
        )
    folder = Path(str(resources.files("innerloop"))) / "shipped" / EMBEDDINGS
    return storage.read(folder / f"{name}.safetensors")[1]
