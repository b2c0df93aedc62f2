"""The quadratics for NTM-BFGS (Andrychowicz et al. 2016, Appendix B)."""

import dataclasses

from ...metatrain import TrainingSettings
from ...registry import register
from .. import Choice, Experiment
from .quadratic import QuadraticExperiment


@register("quadratic-ntm")
class QuadraticNTMExperiment(Experiment):
    """The same for NTM-BFGS, an LSTM with a memory (Andrychowicz et al. 2016, App. B)."""

    settings = dataclasses.replace(
        QuadraticExperiment.settings,
        rule=Choice("ntm-bfgs"),
        estimator=Choice("truncated-backprop", {"second_order": True, "clip_each": 0.3}),
        loop=TrainingSettings(steps=800, learning_rate=3e-3, validate_every=100),
    )
