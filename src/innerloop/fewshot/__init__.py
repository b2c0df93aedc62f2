"""Few-shot learning: meta-learners that turn a support set into a predictor."""

from ..inspection.gates import Gates as Gates, record_gates as record_gates
from ..predict.folder import adapt_folder as adapt_folder
from ..predict.predictions import Predictions as Predictions
from ._base import MetaLearner as MetaLearner, Predictor as Predictor
from .augment import Augmentation as Augmentation
from .baselines import (
    BatchSampler as BatchSampler,
    FineTuning as FineTuning,
    NearestNeighbour as NearestNeighbour,
)
from .episode import Episode as Episode, EpisodeSampler as EpisodeSampler, Labelled as Labelled
from .evaluation import evaluate as evaluate, interval as interval
from .files import Recipe as Recipe, load as load, save as save
from .gradient import GradientMetaLearner as GradientMetaLearner
from .matching import MatchingNetwork as MatchingNetwork
from .methods import METHODS as METHODS, Shape as Shape
from .network import Conv4 as Conv4
from .prototypes import PrototypicalNetwork as PrototypicalNetwork
from .training import EpisodeGradient as EpisodeGradient, train as train
