"""Which figures there are, what each claims, and which comparisons it is made of."""

import dataclasses
from typing import Any

from ._base import Reproduction, ReproductionOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes: a shipped rule, on a task, against tuned baselines."""

    title: str
    rule: str
    """The shipped rule's name; what trains it is written in its file."""
    task: str
    """An experiment's name."""
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Of the task, where they are not the experiment's."""
    others: tuple[str, ...] = ()
    """More shipped rules to show."""
    horizon: int | None = None
    """The step that is judged; None for the experiment's own."""
    baselines: tuple[str, ...] = ("classic",)
    """The groups and names of baselines; the papers' own are the classic ones."""
    problems: int | None = None
    """Test problems; None for as many as the experiment has."""
    test_top_k: int | None = None
    """How many baselines, the best on validation problems, run on them; None for all."""
    horizon_multiple: int | None = None
    """How many times the horizon they are run for; None for the experiment's own."""
    window: tuple[int, int] | None = None
    """The steps to draw; None for all."""
    repeats: bool = False
    """Draws the runs of the panel before it."""
    median: bool = False
    """Draw the problems' median loss, not their mean."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure(Reproduction):
    """A figure of a paper: its claim, and how to see whether it holds here."""

    panels: tuple[Panel, ...]
    paintings: bool = False
    """Draw pictures of the runs instead of their losses."""
    summary: bool = False
    """Draw the final losses side by side instead of curves."""

    def run(self, options: ReproductionOptions) -> dict[str, Any]:
        """Write results.json, figure.png and report.md; see `run.reproduce`."""
        from .run import reproduce

        return reproduce(self, options)


_PAPER = "Andrychowicz et al. 2016"
_DEEP = {"hidden": (20, 20)}
_ONE_RULE = "tensorwise-mnist-family"

REPRODUCTIONS = FIGURES = (
    Figure(
        name="andrychowicz2016-fig4",
        source=f"{_PAPER}, Figure 4",
        claim="The LSTM optimizer outperforms tuned SGD, RMSprop, ADAM and NAG on quadratics and "
        "on MNIST, where it stays ahead for 100 steps more than it was trained for.",
        panels=(
            Panel(title="Quadratics", rule="lstm-quadratic", task="quadratic"),
            Panel(title="MNIST", rule="lstm-mnist", task="mnist", window=(0, 100)),
            Panel(
                title="MNIST, 200 steps",
                rule="lstm-mnist",
                task="mnist",
                window=(100, 200),
                repeats=True,
            ),
        ),
        minutes=6,
        training_minutes=21,
    ),
    Figure(
        name="andrychowicz2016-fig5",
        source=f"{_PAPER}, Figure 5",
        claim="Trained on the base network, the LSTM optimizer works as it is for 40 units and "
        "for two layers, and fails for ReLU.",
        panels=(
            Panel(
                title="MNIST, 40 units", rule="lstm-mnist", task="mnist", settings={"hidden": (40,)}
            ),
            Panel(title="MNIST, 2 layers", rule="lstm-mnist", task="mnist", settings=_DEEP),
            Panel(
                title="MNIST, ReLU",
                rule="lstm-mnist",
                task="mnist",
                settings={"activation": "relu"},
            ),
        ),
        minutes=8,
        training_minutes=20,
    ),
    Figure(
        name="andrychowicz2016-fig6",
        source=f"{_PAPER}, Figure 6",
        claim="Over sigmoid networks of other widths and depths than it was trained on, the LSTM "
        "optimizer's final loss is mostly at or below that of the tuned baselines.",
        panels=tuple(
            Panel(
                title=f"{depth}×{width}",
                rule="lstm-mnist",
                others=(_ONE_RULE,),
                task="mnist",
                settings={"hidden": (width,) * depth},
                baselines=("nesterov", "adam"),
            )
            for depth in (1, 2)
            for width in (10, 20, 40)
        ),
        minutes=20,
        training_minutes=55,
        summary=True,
    ),
    Figure(
        name="andrychowicz2016-fig7",
        source=f"{_PAPER}, Figure 7",
        claim="Two rules, one for convolutional and one for dense parameters, learn faster than "
        "the tuned baselines on CIFAR-10, CIFAR-5 and CIFAR-2; LSTM-sub, trained on other labels "
        "only, is hardly worse.",
        panels=(
            Panel(title="CIFAR-10", rule="lstm-cifar10", task="cifar10"),
            Panel(
                title="CIFAR-5",
                rule="lstm-cifar10",
                others=("lstm-cifar10-sub",),
                task="cifar10",
                settings={"labels": (0, 1, 2, 3, 4)},
                problems=150,
            ),
            Panel(
                title="CIFAR-2",
                rule="lstm-cifar10",
                others=("lstm-cifar10-sub",),
                task="cifar10",
                settings={"labels": (0, 1)},
                problems=150,
            ),
        ),
        minutes=30,
        training_minutes=45,
    ),
    Figure(
        name="andrychowicz2016-fig8",
        source=f"{_PAPER}, Figure 8",
        claim="Trained with one style at 64×64, the LSTM optimizer is ahead of the tuned baselines "
        "there and with another style at twice the resolution.",
        panels=(
            Panel(
                title="training style, 64×64",
                rule="lstm-neural-art",
                task="neural-art",
                problems=100,
            ),
            Panel(
                title="another style, 64×64",
                rule="lstm-neural-art",
                task="neural-art",
                settings={"style": "the_scream"},
                problems=100,
            ),
            Panel(
                title="training style, 128×128",
                rule="lstm-neural-art",
                task="neural-art",
                settings={"size": 128},
                # Four times the pixels, and minutes for every optimizer.
                baselines=("adam",),
                problems=16,
            ),
            Panel(
                title="another style, 128×128",
                rule="lstm-neural-art",
                task="neural-art",
                settings={"style": "the_scream", "size": 128},
                # Four times the pixels, and minutes for every optimizer.
                baselines=("adam",),
                problems=16,
            ),
        ),
        minutes=25,
        training_minutes=35,
    ),
    Figure(
        name="andrychowicz2016-fig9",
        source=f"{_PAPER}, Figure 9",
        claim="Pictures that the learned optimizer paints, with the training style and another.",
        panels=(
            Panel(title="training style", rule="lstm-neural-art", task="neural-art"),
            Panel(
                title="another style",
                rule="lstm-neural-art",
                task="neural-art",
                settings={"style": "the_scream"},
            ),
        ),
        minutes=3,
        training_minutes=35,
        paintings=True,
    ),
    Figure(
        name="andrychowicz2016-appendix-b",
        source=f"{_PAPER}, Appendix B",
        claim="An LSTM with global averaging cells, and NTM-BFGS with a memory between "
        "coordinates, are ahead of ADAM and of the plain LSTM on quadratics, and at first of "
        "L-BFGS too.",
        panels=(
            Panel(
                title="Quadratics",
                rule="ntm-bfgs-quadratic",
                others=("lstm-gac-quadratic", "lstm-quadratic"),
                task="quadratic",
                window=(0, 100),
            ),
            Panel(
                title="Quadratics",
                rule="ntm-bfgs-quadratic",
                others=("lstm-gac-quadratic", "lstm-quadratic"),
                task="quadratic",
                window=(0, 100),
                repeats=True,
                median=True,
            ),
        ),
        minutes=2,
        training_minutes=8,
    ),
    Figure(
        name="one-rule-for-mnist",
        source="innerloop, beyond the paper's Figures 4 and 5",
        claim="One rule, trained on a family of small networks, beats every baseline that is tuned "
        "for each of them on all of the paper's networks, ReLU included, and still after 1,000 "
        "steps.",
        panels=tuple(
            Panel(
                title=f"{title}, {horizon} steps",
                rule=_ONE_RULE,
                task="mnist",
                settings=settings,
                horizon=horizon,
                # Long runs end close together, and it takes many to tell them apart.
                problems=256 if horizon == 1000 else None,
                test_top_k=2 if horizon == 1000 else None,
                horizon_multiple=1 if horizon == 1000 else None,
            )
            for horizons, title, settings in (
                ((100, 200, 1000), "20 sigmoid", {}),
                ((100, 1000), "40 sigmoid", {"hidden": (40,)}),
                ((100, 1000), "2×20 sigmoid", _DEEP),
                ((100, 1000), "20 ReLU", {"activation": "relu"}),
            )
            for horizon in horizons
        ),
        minutes=25,
        training_minutes=35,
    ),
)
