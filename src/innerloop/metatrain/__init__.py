"""Training a rule through the runs that it drives."""

from .gradients import (
    EvolutionStrategies as EvolutionStrategies,
    MetaGradient as MetaGradient,
    TruncatedBackprop as TruncatedBackprop,
)
from .interrupt import Interrupted as Interrupted
from .settings import TrainingSettings as TrainingSettings
from .training import Trained as Trained, train as train
