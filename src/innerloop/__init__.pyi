from .comparison import (
    Comparison as Comparison,
    Grid as Grid,
    compare as compare,
    plot_curves as plot_curves,
)
from .errors import InnerloopError as InnerloopError
from .evaluation import evaluate as evaluate
from .inner import start as start, unroll as unroll
from .metatrain import (
    MetaGradient as MetaGradient,
    Trained as Trained,
    TrainingSettings as TrainingSettings,
    TruncatedBackprop as TruncatedBackprop,
    train as train,
)
from .rules import LSTMRule as LSTMRule, OptaxRule as OptaxRule, Rule as Rule
from .rules.files import load as load, save as save
from .tasks import MNIST as MNIST, Quadratic as Quadratic, Task as Task
