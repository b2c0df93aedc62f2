"""Datasets: one file each; finding, downloading and verifying once, for all."""

from ._base import Dataset as Dataset
from .cifar10 import load_cifar10 as load_cifar10
from .class_folders import ClassFolders as ClassFolders, load_class_folders as load_class_folders
from .class_images import ClassImages as ClassImages
from .miniimagenet import (
    MiniImageNetDataset as MiniImageNetDataset,
    load_miniimagenet as load_miniimagenet,
)
from .mnist import MNISTData as MNISTData, load_mnist as load_mnist
from .omniglot import Omniglot as Omniglot, load_omniglot as load_omniglot
