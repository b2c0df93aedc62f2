"""Update rules: one file each."""

from ._base import CoordinatewiseRule as CoordinatewiseRule, Rule as Rule
from .from_optax import OptaxRule as OptaxRule
from .lstm import LSTMRule as LSTMRule
from .mlp import MLPRule as MLPRule
from .multi import MultiRule as MultiRule
