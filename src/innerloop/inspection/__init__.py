"""Measuring what rules and meta-learners do while they learn."""

from .gates import Gates as Gates, LayerGates as LayerGates, record_gates as record_gates
