"""A meta-learner put to one's own use: a folder of photographs in, labels out."""

from .choosing import Choice as Choice, choose_learner as choose_learner
from .doubts import Calibration as Calibration
from .folder import adapt_features as adapt_features, adapt_folder as adapt_folder
from .predictions import (
    Predictions as Predictions,
    reject as reject,
    write_predictions as write_predictions,
)
