"""Code written by hand for a processor's caches or a GPU, beside XLA's own."""
