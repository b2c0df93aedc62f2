"""Code written by hand for a processor's caches or a GPU, each beside XLA's own.

Every module has both, and a switch between them by backend. Each says when its part may be deleted.
"""
