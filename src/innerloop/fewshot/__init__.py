"""Few-shot learning: meta-learners that turn a support set into a predictor."""

from ._base import MetaLearner as MetaLearner, Predictor as Predictor, Shape as Shape
from .augment import Augmentation as Augmentation
from .backbones import (
    VGG16 as VGG16,
    Backbone as Backbone,
    Conv4 as Conv4,
    Params as Params,
    ResNet12 as ResNet12,
    Statistics as Statistics,
)
from .batches import BatchSampler as BatchSampler
from .calibration import (
    calibration_error as calibration_error,
    fit_temperature as fit_temperature,
)
from .embedding import EmbeddingLearner as EmbeddingLearner, MetricLearner as MetricLearner
from .episode import Episode as Episode, EpisodeSampler as EpisodeSampler, Labelled as Labelled
from .evaluation import evaluate as evaluate, interval as interval
from .files import TrainingData as TrainingData, describe as describe, load as load, save as save
from .gradient import (
    GradientMetaLearner as GradientMetaLearner,
    GradientSettings as GradientSettings,
)
from .init_from import init_from as init_from
from .making import make_backbone as make_backbone, make_learner as make_learner
from .methods import (
    MAML as MAML,
    PLDA as PLDA,
    FineTuning as FineTuning,
    FullContextMatching as FullContextMatching,
    Joint as Joint,
    LSTMLearner as LSTMLearner,
    MatchingNetwork as MatchingNetwork,
    MetaLSTM as MetaLSTM,
    MetaSGD as MetaSGD,
    NearestNeighbour as NearestNeighbour,
    Pretrained as Pretrained,
    PrototypicalNetwork as PrototypicalNetwork,
)
from .training import (
    EpisodeGradient as EpisodeGradient,
    EpisodeOptions as EpisodeOptions,
    EpisodeSettings as EpisodeSettings,
    train as train,
)
