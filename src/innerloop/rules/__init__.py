"""Update rules: one file each."""

from ._base import CoordinatewiseRule as CoordinatewiseRule, FlatRule as FlatRule, Rule as Rule
from .bfgs import BFGSRule as BFGSRule
from .from_optax import OptaxRule as OptaxRule
from .general import GeneralRule as GeneralRule
from .lbfgs import LBFGSRule as LBFGSRule
from .leap import LeapRule as LeapRule
from .lstm import LSTMRule as LSTMRule
from .lstm_gac import LSTMGACRule as LSTMGACRule
from .meta_lstm import MetaLSTMRule as MetaLSTMRule
from .meta_sgd import MetaSGDRule as MetaSGDRule
from .multi import MultiRule as MultiRule
from .multistart import MultistartRule as MultistartRule
from .ntm_bfgs import NTMBFGSRule as NTMBFGSRule
from .per_tensor import PerTensorRule as PerTensorRule
from .rnnprop import RNNpropRule as RNNpropRule
from .scheduled import ScheduledRule as ScheduledRule
from .scheduled_general import ScheduledGeneralRule as ScheduledGeneralRule
from .started import StartedRule as StartedRule
