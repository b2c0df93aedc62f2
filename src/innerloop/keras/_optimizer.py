"""A learned rule as a `keras.optimizers.Optimizer`."""

from pathlib import Path
from typing import Any

import keras

from ..errors import InnerloopError
from ..runtime import weights

_RULES = ("general", "scheduled-general", "lstm", "lstm-gac", "per-tensor", "rnnprop")
"""Those that need no loss and no parts, and run on both backends."""


def load(
    path_or_name: str | Path,
    *,
    learning_rate: Any = 1.0,
    steps: int | None = None,
    **settings: Any,
) -> Any:
    """An optimizer of Keras from a file of a learned rule.

    These rules stand in Keras: `general`, `scheduled-general`, `per-tensor`, `lstm`, `lstm-gac`,
    `rnnprop`. The backend is JAX or PyTorch. A saved model names the file and the digest of its
    weights: it is loaded where that file is, after `import innerloop.keras`.

    Args:
        path_or_name: A file, a training run's folder, a shipped rule's name, or hf://USER/NAME.
        learning_rate: A factor of all steps, a float or a schedule of Keras; 1.0 is what the rule
            was trained with.
        steps: The length of the run, 1 or more, for `scheduled-general`, the kind of the shipped
            `general`: its schedule is then over the run. None for the length that the file has,
            which is unknown unless one was saved. Other rules have no use for it.
        **settings: What every optimizer of Keras takes: `weight_decay`, `clipnorm`, and so on.

    Returns:
        The optimizer.

    Raises:
        InnerloopError: There is no such file or name, it is damaged, its rule does not stand in
            Keras, the backend is another one, or `steps` is no whole number from 1 on.

    Example:
        >>> import innerloop.keras, keras
        >>> model = keras.Sequential([keras.layers.Dense(1)])
        >>> model.compile(innerloop.keras.load("tensorwise-mnist"), "mse")
    """
    return LearnedOptimizer(str(path_or_name), learning_rate=learning_rate, steps=steps, **settings)


@keras.saving.register_keras_serializable("innerloop")
class LearnedOptimizer(keras.optimizers.Optimizer):
    """A learned rule in Keras, as `load` makes it.

    Args:
        rule: A file, a training run's folder, a shipped rule's name, or hf://USER/NAME.
        digest: The digest of the weights that are expected; None for any.
        learning_rate: A factor of all steps, a float or a schedule of Keras.
        steps: The length of the run, or None, as of `load`.
        **settings: What every optimizer of Keras takes.

    Raises:
        InnerloopError: The rule cannot be loaded, does not stand in Keras, or has another digest.

    Example:
        >>> import innerloop.keras
        >>> innerloop.keras.LearnedOptimizer("lstm-mnist").rule
        'lstm-mnist'
    """

    def __init__(
        self,
        rule: str,
        digest: str | None = None,
        *,
        learning_rate: Any = 1.0,
        steps: int | None = None,
        **settings: Any,
    ):
        super().__init__(learning_rate=learning_rate, **settings)
        path = weights.find(rule, weights.RULE_FILE, "rule")
        header, arrays = weights.read(path)
        if header.get("rule") not in _RULES:
            raise InnerloopError(
                f"{path} holds the rule '{weights.shown(header.get('rule'))}'; in Keras these "
                f"rules stand: {', '.join(_RULES)}."
            )
        self.rule, self.digest = rule, weights.digest(header, arrays)
        if digest not in (None, self.digest):
            raise InnerloopError(
                f"{path} holds the weights {self.digest[:12]}, and those of the saved optimizer "
                f"are {weights.shown(digest)[:12]}; put the file that it was made with in place."
            )
        if steps is not None and (type(steps) is not int or steps < 1):
            raise InnerloopError(
                f"steps is {steps}; it must be a whole number from 1 on, or None if it is unknown."
            )
        self.steps, self._steps = steps, _backend(path, steps)

    def build(self, variables: list[Any]) -> None:
        """Make the state's variables.

        Args:
            variables: The model's.
        """
        if self.built:
            return
        super().build(variables)
        state = self._steps.init([variable.value for variable in variables])
        self._state = []
        for number, first in enumerate(state):
            dtype = keras.backend.standardize_dtype(first.dtype)
            made = self.add_variable(tuple(first.shape), dtype=dtype, name=f"state_{number}")
            made.assign(first)
            self._state.append(made)

    def _backend_update_step(
        self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any
    ) -> None:
        variables = self._trainable_variables
        places = [self._get_variable_index(variable) for variable in trainable_variables]
        given = dict(zip(places, grads, strict=True))
        steps, state = self._steps.update(
            [given.get(place) for place in range(len(variables))],
            [variable.value for variable in self._state],
            [variable.value for variable in variables],
        )
        for place in places:
            variable, step = variables[place], steps[place]
            rate = keras.ops.cast(learning_rate, step.dtype)
            self.assign_add(variable, keras.ops.cast(rate * step, variable.dtype))
        for variable, new in zip(self._state, state, strict=True):
            self.assign(variable, new)

    def get_config(self) -> dict[str, Any]:
        """Names and settings, as a saved model has them."""
        return {
            **super().get_config(),
            "rule": self.rule,
            "digest": self.digest,
            "steps": self.steps,
        }


def _backend(path: Path, steps: int | None) -> Any:
    """The rule's steps on Keras's backend."""
    name = keras.backend.backend()
    if name == "jax":
        from ._jax import Steps
    elif name == "torch":
        from ._torch import Steps
    else:
        raise InnerloopError(
            f"Keras's backend is '{name}'; learned rules run on 'jax' and 'torch'. Set the "
            "environment variable KERAS_BACKEND to one of them."
        )
    return Steps(path, steps)
