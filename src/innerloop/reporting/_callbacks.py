"""What takes a meta-step and its metrics, and hands them on."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InnerloopError

OnReport = Callable[[int, Mapping[str, float]], None]


def wandb(run: Any) -> OnReport:
    """A callback that logs metrics to a run of Weights & Biases.

    Args:
        run: What `wandb.init(…)` returns.

    Returns:
        A function of a meta-step and its metrics, for `RunOptions(on_report=…)`.

    Example:
        >>> import innerloop
        >>> class Run:
        ...     def log(self, metrics, step):
        ...         print(step, metrics)
        >>> on_report = innerloop.reporting.wandb(Run())  # wandb.init(project="rules")
        >>> on_report(10, {"meta_loss": 0.5})
        10 {'meta_loss': 0.5}
    """

    def on_report(step: int, metrics: Mapping[str, float]) -> None:
        run.log(dict(metrics), step=step)

    return on_report


def mlflow() -> OnReport:
    """A callback that logs metrics to the active run of MLflow, which begins one if need be.

    Returns:
        A function of a meta-step and its metrics, for `RunOptions(on_report=…)`.

    Raises:
        InnerloopError: mlflow is not installed.

    Example:
        >>> import innerloop
        >>> options = innerloop.RunOptions(on_report=innerloop.reporting.mlflow())  # doctest: +SKIP
    """
    try:
        library: Any = importlib.import_module("mlflow")
    except ImportError as error:
        raise InnerloopError(
            "innerloop.reporting.mlflow needs the package mlflow: pip install mlflow."
        ) from error

    def on_report(step: int, metrics: Mapping[str, float]) -> None:
        library.log_metrics(dict(metrics), step=step)

    return on_report
