"""Task families: one file each."""

from ._base import Task as Task, coordinates as coordinates
from .mnist import MNIST as MNIST
from .quadratic import Quadratic as Quadratic
