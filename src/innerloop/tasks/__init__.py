"""Task families: one file each."""

from ._base import (
    Split as Split,
    TaskFamily as TaskFamily,
    coordinates as coordinates,
    draw_params as draw_params,
    draw_problem as draw_problem,
    over_batch as over_batch,
    shapes as shapes,
)
from .cifar10 import CIFAR10 as CIFAR10
from .from_arrays import ArraysFamily as ArraysFamily, from_arrays as from_arrays
from .mnist import MNIST as MNIST
from .mnist_family import MNISTFamily as MNISTFamily
from .neural_art import NeuralArt as NeuralArt
from .quadratic import Quadratic as Quadratic
