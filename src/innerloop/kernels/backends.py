"""Which backend a program is traced for: what chooses between our kernels and XLA's own."""

import jax


def on_cpu() -> bool:
    """Whether programs run on a CPU, where our own convolutions and chunks are faster."""
    return jax.default_backend() == "cpu"


def on_gpu() -> bool:
    """Whether programs run on a GPU."""
    return jax.default_backend() == "gpu"
