"""Learned rules against tuned baselines: the comparison, its table and its picture."""

from ..plots.comparison import plot_curves as plot_curves
from .baselines import BASELINES as BASELINES
from .comparison import (
    Comparison as Comparison,
    OptimizerRun as OptimizerRun,
    compare as compare,
)
from .settings import ComparisonSettings as ComparisonSettings
from .table import table as table
from .tuning import Grid as Grid, tune as tune
