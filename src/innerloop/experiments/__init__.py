"""Experiments: settings of runs with a name, one file each, and what runs them."""

from ._base import Experiment as Experiment
from .settings import Choice as Choice, RunSettings as RunSettings
