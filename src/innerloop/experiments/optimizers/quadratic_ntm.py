"""The quadratics for NTM-BFGS (Andrychowicz et al. 2016, Appendix B)."""

import dataclasses

from ...metatrain import TrainingSettings
from ...rules import NTMBFGSRule
from .quadratic import EXPERIMENT as QUADRATIC

EXPERIMENT = dataclasses.replace(
    QUADRATIC,
    name="quadratic-ntm",
    summary="the same for NTM-BFGS, an LSTM with a memory (Andrychowicz et al. 2016, App. B)",
    make_rule=NTMBFGSRule,
    rule={},
    training=TrainingSettings(
        steps=800, learning_rate=3e-3, second_order=True, clip_each=0.3, validate_every=100
    ),
)
