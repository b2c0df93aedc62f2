"""Datasets: one file each; finding, downloading and verifying once, for all."""

from .mnist import MNISTData as MNISTData, load_mnist as load_mnist
