"""Few-shot methods, one a file. A class of a user's own joins by `innerloop.register`."""

from .finetune import FineTuning as FineTuning
from .joint import Joint as Joint
from .lstm import LSTMLearner as LSTMLearner
from .maml import MAML as MAML
from .matching import MatchingNetwork as MatchingNetwork
from .matching_fce import FullContextMatching as FullContextMatching
from .meta_lstm import MetaLSTM as MetaLSTM
from .meta_sgd import MetaSGD as MetaSGD
from .nearest_neighbour import NearestNeighbour as NearestNeighbour
from .pixels import PixelNeighbour as PixelNeighbour
from .plda import PLDA as PLDA
from .pretrained import Pretrained as Pretrained
from .protonet import PrototypicalNetwork as PrototypicalNetwork
