"""The hand-designed optimizers that a learned rule has to beat."""

import dataclasses
import difflib
from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..errors import UnknownNameError
from ..registry import register
from ..rules import Rule

Rate = Float[Array, ""]
Make = Callable[[Any, int, Any], optax.GradientTransformation]
_WARMUP = 0.1  # The share of the horizon in which the rate of a cosine schedule rises.


@dataclasses.dataclass(frozen=True)
class Baseline:
    """An optimizer that a comparison tunes: its learning rate, and one setting more.

    Example:
        >>> import innerloop
        >>> nesterov = innerloop.BASELINES["nesterov"]
        >>> nesterov.second, nesterov.values
        ('momentum', (0.9, 0.8, 0.95))
        >>> float(nesterov.rule(0.01, horizon=100).learning_rate)
        0.01
    """

    name: str
    """What `--baselines` calls it."""
    make: Make
    """(learning rate, horizon, second setting) → the Optax transformation. The rate and the second
    setting are arrays, float32 [], which may be traced; the horizon is a number of steps."""
    second: str | None = None
    """What the second setting is: the momentum, b2 and so on; None where there is none."""
    values: tuple[float, ...] = ()
    """The values of the second setting that are tried, the default first."""
    rate: float | None = None
    """The learning rate of an optimizer that is used without tuning; None where it is tuned."""
    averages: bool = False
    """Whether its losses are those at the average of Schedule-Free, not at its own parameters."""

    def rule(
        self, learning_rate: Any = None, *, horizon: int = 100, second: Any = None
    ) -> "BaselineRule":
        """This optimizer as a rule.

        Args:
            learning_rate: A positive number; None for `rate`.
            horizon: The steps over which the schedule runs, if it has one.
            second: The second setting; None for its default.
        """
        rate = self.rate if learning_rate is None else learning_rate
        if second is None:
            second = self.values[0] if self.values else 0.0
        kind = AveragedRule if self.averages else BaselineRule
        return kind(jnp.asarray(rate, jnp.float32), jnp.asarray(second, jnp.float32), self, horizon)


@register("baseline")
class BaselineRule(Rule):
    """A baseline at one setting. Both numbers are leaves, so that many settings are one `vmap`."""

    learning_rate: Rate
    second: Rate
    baseline: Baseline = eqx.field(static=True)
    horizon: int = eqx.field(static=True)

    def to_settings(self) -> dict[str, Any]:
        """The baseline's name, and the horizon of its schedule."""
        return {"baseline": self.baseline.name, "horizon": self.horizon}

    @classmethod
    def from_settings(cls, settings: dict[str, Any], *, key: PRNGKeyArray) -> "BaselineRule":
        """The rule of one of `BASELINES`, by name."""
        (baseline,) = choose([settings["baseline"]]).values()
        return baseline.rule(1.0, horizon=int(settings["horizon"]))

    def _transformation(self) -> optax.GradientTransformationExtraArgs:
        made = self.baseline.make(self.learning_rate, self.horizon, self.second)
        return optax.with_extra_args_support(made)

    def init(self, params: PyTree) -> PyTree:
        return self._transformation().init(params)

    def update(
        self,
        grads: PyTree,
        state: PyTree,
        params: PyTree | None = None,
        *,
        value: Rate | None = None,
        **extra: Any,
    ) -> tuple[PyTree, PyTree]:
        updates, state = self._transformation().update(grads, state, params, value=value, **extra)
        # A learning rate that is an array would turn half precision into single.
        return jax.tree.map(lambda u, g: u.astype(jnp.result_type(g)), updates, grads), state


@register("averaged-baseline")
class AveragedRule(BaselineRule):
    """A baseline whose answer is an average of where it went, not where it is."""

    def eval_params(self, state: PyTree, params: PyTree) -> PyTree:
        return optax.contrib.schedule_free_eval_params(state, params)


def plain(name: str, make: Callable[[Any], optax.GradientTransformation]) -> Baseline:
    """A baseline of which only the learning rate is tuned.

    Args:
        name: Its name.
        make: A function from a learning rate to an Optax transformation, such as `optax.adam`.
    """
    return Baseline(name, _OfRate(make))


@dataclasses.dataclass(frozen=True)
class _OfRate:
    make: Callable[[Any], optax.GradientTransformation]

    def __call__(self, rate, horizon, second):
        return self.make(rate)


def cosine(rate: Any, horizon: int) -> Callable[[Any], Any]:
    """A schedule that rises to `rate` in a tenth of the horizon and falls to 0 along a cosine.

    Optax's own schedules take no traced rate in all places; this one does.
    """
    warmup = max(1.0, _WARMUP * horizon)

    def schedule(step: Any) -> Any:
        rise = jnp.minimum(1.0, (step + 1) / warmup)
        done = jnp.clip((step + 1 - warmup) / max(1.0, horizon - warmup), 0.0, 1.0)
        return rate * rise * 0.5 * (1 + jnp.cos(jnp.pi * done))

    return schedule


def _matrices(params: PyTree) -> PyTree:
    """Which leaves Muon takes as matrices: kernels of convolutions too, in either layout."""

    def one(leaf):
        if leaf.ndim < 2:
            return None
        outputs = 0 if leaf.shape[0] >= leaf.shape[-1] else leaf.ndim - 1
        inputs = tuple(axis for axis in range(leaf.ndim) if axis != outputs)
        return optax.contrib.MuonDimensionNumbers(inputs, outputs)

    return jax.tree.map(one, params)


def _sgd(rate, horizon, _):
    return optax.sgd(rate)


def _nesterov(rate, horizon, momentum):
    return optax.sgd(rate, momentum=momentum, nesterov=True)


def _rmsprop(rate, horizon, decay):
    return optax.rmsprop(rate, decay=decay)


def _adam(rate, horizon, b2):
    return optax.adam(rate, b2=b2)


def _adamw(rate, horizon, b2):
    return optax.adamw(rate, b2=b2)


def _muon(rate, horizon, beta):
    return optax.contrib.muon(rate, beta=beta, muon_weight_dimension_numbers=_matrices)


def _lion(rate, horizon, b2):
    return optax.lion(rate, b2=b2)


def _schedule_free(rate, horizon, b1):
    return optax.contrib.schedule_free_adamw(rate, b1=b1)


def _prodigy(rate, horizon, _):
    return optax.contrib.prodigy(rate)


def _dog(rate, horizon, _):
    return optax.contrib.dog(rate)


def _with_cosine(make: Make) -> Make:
    return lambda rate, horizon, second: make(cosine(rate, horizon), horizon, second)


_MOMENTA = ("momentum", (0.9, 0.8, 0.95))
_B2 = ("b2", (0.999, 0.99, 0.95))
_BETA = ("momentum", (0.95, 0.9, 0.8))
_LION = ("b2", (0.99, 0.95, 0.9))

BASELINES = {
    baseline.name: baseline
    for baseline in (
        Baseline("sgd", _sgd),
        Baseline("nesterov", _nesterov, *_MOMENTA),
        Baseline("rmsprop", _rmsprop, "decay", (0.9, 0.8, 0.99)),
        Baseline("adam", _adam, *_B2),
        Baseline("adamw", _adamw, *_B2),
        Baseline("muon", _muon, *_BETA),
        Baseline("lion", _lion, *_LION),
        Baseline("nesterov-cosine", _with_cosine(_nesterov), *_MOMENTA),
        Baseline("adamw-cosine", _with_cosine(_adamw), *_B2),
        Baseline("muon-cosine", _with_cosine(_muon), *_BETA),
        Baseline("lion-cosine", _with_cosine(_lion), *_LION),
        Baseline(
            *("schedule-free-adamw", _schedule_free),
            *("b1", (0.9, 0.95, 0.98)),
            averages=True,
        ),
        # Without a value of b2 it would be 0, which is another optimizer.
        Baseline("adam-1e-3", _adam, values=(0.999,), rate=1e-3),
        Baseline("prodigy", _prodigy, rate=1.0),
        Baseline("dog", _dog, rate=1.0),
    )
}
"""Every baseline by its name; all that is not tuned is as Optax has it by default."""

CLASSIC = ("sgd", "nesterov", "rmsprop", "adam", "adamw")
GROUPS = {
    "classic": CLASSIC,
    "modern": (
        *CLASSIC,
        *("nesterov-cosine", "adamw-cosine", "muon", "muon-cosine", "lion-cosine"),
        "schedule-free-adamw",
    ),
    "untuned": ("adam-1e-3", "prodigy", "dog"),
}
"""Names of baselines that stand for several. Of `classic` the learning rate alone is tuned."""


def choose(names: Iterable[str]) -> dict[str, Baseline]:
    """The baselines that groups and names stand for, each once.

    Args:
        names: Keys of `BASELINES` and of `GROUPS`; none for `modern`.

    Raises:
        UnknownNameError: There is no such baseline or group.
    """
    found: dict[str, Baseline] = {}
    for name in tuple(names) or ("modern",):
        if name not in BASELINES and name not in GROUPS:
            near = difflib.get_close_matches(name, (*BASELINES, *GROUPS), n=1)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            raise UnknownNameError(
                f"There is no baseline '{name}'.{meant} There are {', '.join(BASELINES)} "
                f"and the groups {', '.join(GROUPS)}.",
                arguments=("baselines",),
            )
        for each in GROUPS.get(name, (name,)):
            baseline = BASELINES[each]
            if name == "classic":
                baseline = dataclasses.replace(baseline, values=baseline.values[:1])
            found[each] = baseline
    return found
