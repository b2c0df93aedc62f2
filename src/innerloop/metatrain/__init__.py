"""Training a rule through the runs that it drives."""

from .gradients import MetaGradient as MetaGradient
from .gradients import TruncatedBackprop as TruncatedBackprop
from .interrupt import Interrupted as Interrupted
from .settings import TrainingSettings as TrainingSettings
from .train import Trained as Trained
from .train import train as train
