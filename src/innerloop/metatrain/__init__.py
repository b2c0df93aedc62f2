"""Training a rule through the runs that it drives."""

from ..runtime.interrupts import Interrupted as Interrupted
from .estimators import (
    EvolutionStrategies as EvolutionStrategies,
    MetaGradient as MetaGradient,
    TruncatedBackprop as TruncatedBackprop,
)
from .run import Judge as Judge, Trained as Trained, meta_train as meta_train
from .settings import (
    LoopSettings as LoopSettings,
    RunOptions as RunOptions,
    TrainingSettings as TrainingSettings,
)
from .training import train as train
