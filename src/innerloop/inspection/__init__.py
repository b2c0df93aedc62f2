"""Measurements of a trained rule or meta-learner."""
