"""Learned rules against tuned baselines: the comparison, its table and its picture."""

from .baselines import BASELINES as BASELINES
from .comparison import (
    Comparison as Comparison,
    OptimizerRun as OptimizerRun,
    compare as compare,
)
from .settings import ComparisonSettings as ComparisonSettings
from .table import table as table
from .tuning import Grid as Grid, tune as tune
