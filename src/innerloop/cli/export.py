"""`innerloop export`: a rule as a small Python file for a loop of one's own."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ._common import say
from ._settings import leading, parse

SUMMARY = "Write a Python file that uses a rule in a training loop of your own."
_DOC = """Write a Python file that uses a rule in a training loop of your own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Arguments:
    __doc__ = _DOC

    rule: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RULE")]
    """A training run's folder, a file, or a shipped rule's name."""
    kind: Annotated[Literal["optax", "torch"], tyro.conf.arg(name="as")] = "optax"
    """The library that the loop is written with."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.py")] = None
    """The file to write (default: optimizer.py beside the rule, or in the present folder)."""


def main(words: Sequence[str]) -> None:
    """Run the command."""
    from ..errors import FileError, UnknownNameError
    from ..rules.files import describe
    from ..runtime.files import write_output

    if not leading(words) and not {"-h", "--help"} & set(words):
        raise UnknownNameError("Name the rule to export: innerloop export RULE --as optax.")
    asked = parse(_Arguments, words, command="export")
    run = describe(asked.rule).get("run", {})
    folder = Path(asked.rule) if Path(asked.rule).is_dir() else Path()
    path = asked.out or folder / "optimizer.py"
    if asked.out is None and not _is_ours(path):
        raise FileError(f"{path} is there already: name another file with --out, or that one.")
    write_output(path, source(asked.rule, asked.kind, run))
    say(f"Written to {path}.")


def _is_ours(path: Path) -> bool:
    """Whether a file is free to be written: it is not there, or it is an export."""
    if path.is_symlink():
        return False
    try:
        return _MARK in path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return True
    except OSError:
        return False


def source(rule: str, kind: str, run: dict[str, Any]) -> str:
    """The file's text.

    Nothing of a rule's file becomes code: what it says of its training stands in a docstring as a
    literal.

    Args:
        rule: The rule, as the user named it.
        kind: "optax" or "torch".
        run: What the rule's file says of its training.
    """
    name = rule if not Path(rule).exists() else str(Path(rule).absolute())
    return (_TORCH if kind == "torch" else _OPTAX).format(
        rule=repr(name),
        made=_made(run),
        horizon=_horizon(run),
    )


def _horizon(run: dict[str, Any]) -> int:
    """The steps that a rule was trained for; 100 where its file does not say."""
    for part in (run.get("search"), (run.get("estimator") or {}).get("settings")):
        found = part.get("horizon") if isinstance(part, dict) else None
        if isinstance(found, int) and not isinstance(found, bool) and found > 0:
            return found
    return 100


def _made(run: dict[str, Any]) -> str:
    """The command that made the rule, as a Python literal."""
    told = run.get("search")
    command = told.get("command") if isinstance(told, dict) else None
    task = (run.get("task") or {}).get("name") if isinstance(run.get("task"), dict) else None
    return repr(str(command or (f"innerloop train {task}" if task else "unknown"))[:500])


_MARK = "Written by innerloop export."
_OPTAX = '''"""An optimizer, for a loop of Optax. Written by innerloop export."""

import innerloop

RULE = {rule}
HORIZON = {horizon}  # The steps that it is for.
MADE_BY = {made}


def optimizer():
    """An optax.GradientTransformationExtraArgs: it stands where optax.adam(1e-3) stood.

    Give `update` the parameters and the loss:

        updates, state = tx.update(grads, state, params, value=loss)
        params = optax.apply_updates(params, updates)
    """
    return innerloop.load(RULE).as_optax()
'''
_TORCH = '''"""An optimizer, for a loop of PyTorch. Written by innerloop export."""

import innerloop.torch

RULE = {rule}
HORIZON = {horizon}  # The steps that it is for.
MADE_BY = {made}


def optimizer(params, lr=1.0):
    """A torch.optim.Optimizer: it stands where torch.optim.Adam(params) stood."""
    return innerloop.torch.load(RULE, params, lr=lr)
'''
