"""Datasets: one file each; finding, downloading and verifying once, for all."""

from .cifar10 import load_cifar10 as load_cifar10
from .mnist import MNISTData as MNISTData, load_mnist as load_mnist
