"""The quadratics for LSTM+GAC (Andrychowicz et al. 2016, Appendix B)."""

import dataclasses

from ...registry import register
from .. import Choice, Experiment
from .quadratic import QuadraticExperiment


@register("quadratic-gac")
class QuadraticGACExperiment(Experiment):
    """The same for an LSTM with global averaging cells (Andrychowicz et al. 2016, App. B)."""

    settings = dataclasses.replace(
        QuadraticExperiment.settings, rule=Choice("lstm-gac", {"preprocessing": None})
    )
