"""Embedding networks, one a file. A class of a user's own joins by `innerloop.register`."""

from ._base import Backbone as Backbone, Params as Params, Statistics as Statistics
from .conv4 import Conv4 as Conv4
from .resnet12 import ResNet12 as ResNet12
from .vgg16 import VGG16 as VGG16
