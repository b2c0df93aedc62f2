"""Learned rules against tuned baselines: the comparison, its table and its picture."""

from .baselines import BASELINES as BASELINES, Baseline as Baseline, choose as choose
from .comparison import (
    Comparison as Comparison,
    OptimizerRun as OptimizerRun,
    compare as compare,
)
from .headline import Headline as Headline, headline as headline
from .price import Price as Price, by_turns as by_turns, prices as prices
from .reference import is_noiseless as is_noiseless, lbfgs as lbfgs
from .settings import ComparisonSettings as ComparisonSettings
from .speedup import Speedup as Speedup, speedup as speedup
from .table import table as table
from .tuning import Grid as Grid, Tuned as Tuned, tune as tune, tune_baseline as tune_baseline
