"""Training a rule through the runs that it drives."""

from ..runtime.interrupts import Interrupted as Interrupted
from .estimators import (
    EvolutionStrategies as EvolutionStrategies,
    MetaGradient as MetaGradient,
    TruncatedBackprop as TruncatedBackprop,
)
from .loop import Trained as Trained, meta_train as meta_train
from .settings import LoopSettings as LoopSettings, TrainingSettings as TrainingSettings
from .training import train as train
