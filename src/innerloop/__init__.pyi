from . import (
    datasets as datasets,
    fewshot as fewshot,
    inspection as inspection,
    predict as predict,
    reporting as reporting,
)
from .comparison import (
    BASELINES as BASELINES,
    Comparison as Comparison,
    ComparisonSettings as ComparisonSettings,
    Grid as Grid,
    compare as compare,
)
from .errors import InnerloopError as InnerloopError
from .evaluation import evaluate as evaluate
from .experiments import (
    Choice as Choice,
    Experiment as Experiment,
    RunSettings as RunSettings,
)
from .guard.transformation import safeguard as safeguard
from .hub import push as push
from .inner import InnerLoop as InnerLoop, unroll as unroll
from .metatrain import (
    EvolutionStrategies as EvolutionStrategies,
    LoopSettings as LoopSettings,
    MetaGradient as MetaGradient,
    RunOptions as RunOptions,
    Trained as Trained,
    TrainingSettings as TrainingSettings,
    TruncatedBackprop as TruncatedBackprop,
    train as train,
)
from .plots.comparison import plot_curves as plot_curves
from .registry import register as register
from .rules import (
    BFGSRule as BFGSRule,
    LBFGSRule as LBFGSRule,
    LeapRule as LeapRule,
    LSTMGACRule as LSTMGACRule,
    LSTMRule as LSTMRule,
    MetaLSTMRule as MetaLSTMRule,
    MetaSGDRule as MetaSGDRule,
    MultiRule as MultiRule,
    MultistartRule as MultistartRule,
    NTMBFGSRule as NTMBFGSRule,
    OptaxRule as OptaxRule,
    PerTensorRule as PerTensorRule,
    RNNpropRule as RNNpropRule,
    Rule as Rule,
    ScheduledRule as ScheduledRule,
    StartedRule as StartedRule,
)
from .rules.files import load as load, save as save
from .rules.ready import general as general
from .search import (
    Candidate as Candidate,
    SearchResult as SearchResult,
    SearchSettings as SearchSettings,
    find_optimizer as find_optimizer,
)
from .tasks import (
    CIFAR10 as CIFAR10,
    MNIST as MNIST,
    MNISTFamily as MNISTFamily,
    NeuralArt as NeuralArt,
    Quadratic as Quadratic,
    TaskFamily as TaskFamily,
)

__version__: str
