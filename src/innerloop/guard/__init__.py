"""A learned rule under guard: watched, with a fallback for where it should not be trusted."""

from .transformation import safeguard as safeguard
