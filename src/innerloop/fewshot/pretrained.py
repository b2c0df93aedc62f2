"""Learners whose embedding somebody else trained: the weights come from a package."""

from importlib import resources
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..datasets.vgg import load_vgg16
from ..runtime.storage import read
from ._base import Shape
from .backbones.vgg16 import VGG16
from .methods.pretrained import Pretrained, PretrainedSettings
from .spread import Spread, diagonalise, widen

PHOTOGRAPHS = "vgg16-photographs"
"""The name of the learner for photographs."""
SIDE = 128
"""Pixels that it takes: ten photographs take about a second on two cores."""
SPREAD = Path(str(resources.files("innerloop"))) / "shipped/embeddings/vgg16-spread.safetensors"
"""How features lie, over miniImageNet's classes of meta-training: `tools/photographs_spread.py`."""
_WITHIN, _BETWEEN = 4.0, 2.0
"""What is added to W and B in every direction, in units of their mean variances. New photographs
are wider than those, and 64 classes show 63 directions of B. Chosen on validation episodes."""
CALIBRATION = {1: (1.29, 0.005), 2: (1.34, 0.006), 5: (1.51, 0.004), 10: (1.63, 0.003)}
"""Shot → the temperature and the calibration error on those validation episodes."""


def load_photographs(data_dir: str | Path | None = None) -> Pretrained:
    """VGG16 with PLDA upon its features, for photographs in RGB.

    The network was trained on the thousand classes of ImageNet, and not by innerloop. How features
    lie within and between classes was estimated on miniImageNet. Accuracies there, where classes
    are among ImageNet's, say nothing of new classes.

    Args:
        data_dir: A folder with the weights; None for INNERLOOP_DATA and the installed package.

    Returns:
        The learner. It takes any number of classes and images.

    Raises:
        InnerloopError: The weights are not to be had, or their digest is wrong.

    Example:
        >>> from innerloop.fewshot.pretrained import load_photographs
        >>> learner = load_photographs("data")  # doctest: +SKIP
    """
    backbone = VGG16(side=SIDE, channels=3)
    params = {
        name: {
            "kernel": jnp.asarray(np.ascontiguousarray(kernel.transpose(1, 2, 3, 0))),
            "bias": jnp.asarray(bias),
        }
        for name, (kernel, bias) in zip(backbone.layers, load_vgg16(data_dir=data_dir), strict=True)
    }
    shape = Shape(way=5, shot=5, side=SIDE, channels=3, classes=1000)
    along = diagonalise(read_spread(SPREAD), _WITHIN)
    settings = PretrainedSettings(scale=1.0)
    return Pretrained(shape, backbone, settings, params=params, known_as=PHOTOGRAPHS, along=along)


def read_spread(path: Path) -> Spread:
    """The spread of a file that `tools/photographs_spread.py` wrote, with B widened.

    A covariance is F Fᵀ + v I there, with as many columns F as tell classes apart.
    """
    arrays = {name: jnp.asarray(each, jnp.float32) for name, each in read(path)[1].items()}

    def covariance(name: str) -> Array:
        factor = arrays[name]
        return factor @ factor.T + arrays[f"{name}_rest"] * jnp.eye(len(factor))

    return Spread(arrays["mean"], covariance("within"), widen(covariance("between"), _BETWEEN))
