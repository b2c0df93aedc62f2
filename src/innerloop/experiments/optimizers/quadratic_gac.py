"""The quadratics for LSTM+GAC (Andrychowicz et al. 2016, Appendix B)."""

import dataclasses

from ...rules import LSTMGACRule
from .quadratic import EXPERIMENT as QUADRATIC

EXPERIMENT = dataclasses.replace(
    QUADRATIC,
    name="quadratic-gac",
    summary="the same for an LSTM with global averaging cells (Andrychowicz et al. 2016, App. B)",
    make_rule=LSTMGACRule,
)
