"""Task families: one file each."""

from ._base import Task as Task
from .mnist import MNIST as MNIST
from .quadratic import Quadratic as Quadratic
