"""Callbacks for `RunOptions(on_report=…)`: metrics of meta-training for other programs."""

from ._callbacks import mlflow as mlflow, wandb as wandb
