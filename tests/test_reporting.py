"""Callbacks that hand metrics on, with what stands for the libraries."""

import sys
import types

import pytest

import innerloop


def test_weights_and_biases_gets_the_step_and_the_metrics():
    logged = []
    run = types.SimpleNamespace(log=lambda metrics, step: logged.append((step, metrics)))
    metrics = types.MappingProxyType({"meta_loss": 0.5})
    innerloop.RunOptions(on_report=innerloop.reporting.wandb(run)).on_report(10, metrics)
    assert logged == [(10, {"meta_loss": 0.5})] and type(logged[0][1]) is dict


def test_mlflow_gets_the_step_and_the_metrics(monkeypatch):
    logged = []
    fake = types.ModuleType("mlflow")
    fake.log_metrics = lambda metrics, step: logged.append((step, metrics))
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    innerloop.reporting.mlflow()(10, {"meta_loss": 0.5})
    assert logged == [(10, {"meta_loss": 0.5})]
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(innerloop.InnerloopError, match="pip install mlflow"):
        innerloop.reporting.mlflow()
