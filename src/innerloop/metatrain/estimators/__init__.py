"""Meta-gradient estimators: one file each."""

from ._base import MetaGradient as MetaGradient
from .evolution import EvolutionStrategies as EvolutionStrategies
from .persistent import PersistentEvolutionStrategies as PersistentEvolutionStrategies
from .truncated import TruncatedBackprop as TruncatedBackprop
