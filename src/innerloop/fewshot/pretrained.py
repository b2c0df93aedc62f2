"""Learners whose embedding somebody else trained: the weights come from a package."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from ..datasets.vgg import load_vgg16
from ._base import Shape
from .backbones.vgg16 import VGG16
from .methods.pretrained import Pretrained, PretrainedSettings

PHOTOGRAPHS = "vgg16-photographs"
"""The name of the learner for photographs."""
SIDE = 128
"""Pixels that it takes: ten photographs take about a second on two cores."""
_SETTINGS = PretrainedSettings(classifier="ridge", penalty=1.0, scale=20.0)
"""Chosen on validation episodes of miniImageNet."""
CALIBRATION = {1: (0.67, 0.005), 2: (0.8, 0.009), 5: (1.0, 0.009), 10: (1.25, 0.009)}
"""Shot → the temperature and the calibration error on those validation episodes."""


def load_photographs(data_dir: str | Path | None = None) -> Pretrained:
    """VGG16 with a ridge regression upon its features, for photographs in RGB.

    The network was trained on the thousand classes of ImageNet, and not by innerloop. Accuracies
    on miniImageNet, whose classes are among them, say nothing of new classes.

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
    return Pretrained(shape, backbone, _SETTINGS, params=params, known_as=PHOTOGRAPHS)
