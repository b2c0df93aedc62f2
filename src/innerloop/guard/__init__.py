"""A learned rule under guard: watched, with a fallback for where it should not be trusted.

Nothing is imported here: PyTorch's safeguard shares the judgement, and does not need JAX.
"""
