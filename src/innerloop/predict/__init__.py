"""A meta-learner put to one's own use: a folder of photographs in, labels out."""

from .folder import adapt_folder as adapt_folder
from .predictions import Predictions as Predictions, write_predictions as write_predictions
