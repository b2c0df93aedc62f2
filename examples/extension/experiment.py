"""An experiment of one's own: what is trained on what, with which settings.

innerloop train examples/extension/experiment.py:SmallQuadratic
innerloop compare runs/experiment-SmallQuadratic --task experiment.py:SmallQuadratic
"""

import innerloop


@innerloop.register("small-quadratic")
class SmallQuadratic(innerloop.Experiment):
    """RNNprop on random quadratics in five dimensions."""

    settings = innerloop.RunSettings(
        task=innerloop.Choice("quadratic", {"dimension": 5}),
        rule=innerloop.Choice("rnnprop", {"hidden": 8}),
        estimator=innerloop.Choice("truncated-backprop", {"truncation": 10, "horizon": 50}),
        loop=innerloop.TrainingSettings(steps=500, learning_rate=5e-3),
        comparison=innerloop.ComparisonSettings(problems=200, horizon=50),
    )
