"""A model card: what a rule or a meta-learner is, how it was made, and how to use it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FileError
from ..experiments.settings import trained_on
from ..report.about import number
from ..report.comparison import rows_of
from ..report.verdict import verdict_of
from ..runtime.files import read_text
from ..runtime.names import fit_text
from ..runtime.runfile import as_text

LIBRARY = "library_name: innerloop"
"""The first line of a card's metadata, by which a card of ours is known."""
IN_PYTORCH = ("general", "scheduled-general", "lstm", "lstm-gac", "per-tensor", "rnnprop", "multi")
"""The rules that `innerloop.torch.load` takes."""
_SHOWN = 60


def card_of(
    header: Mapping[str, Any], address: str, *, license: str, results: Path | None = None
) -> str:
    """The card of a file, in Markdown.

    What the header says is shown as code, whoever wrote it.

    Args:
        header: The file's header.
        address: What `innerloop.load` takes: hf://USER/NAME, or a file's name.
        license: The licence's identifier on the hub.
        results: The run's results.json; it need not be there.

    Raises:
        FileError: results.json is damaged.
    """
    is_rule = "method" not in header
    in_pytorch = is_rule and header.get("rule") in IN_PYTORCH
    tags = ["innerloop", "learned-optimizer" if is_rule else "few-shot-learning", "jax"]
    tags += ["pytorch"] if in_pytorch else []
    metadata = ["---", LIBRARY, f"license: {license}", "tags:", *(f"- {tag}" for tag in tags)]
    return "\n".join(
        [
            *metadata,
            "---",
            *(_rule(header) if is_rule else _learner(header)),
            *(_use_of_rule(address, in_pytorch) if is_rule else _use_of_learner(address)),
            *_measured(results),
            *_recipe(header.get("run")),
            f"## Licence\n\n`{license}`\n",
        ]
    )


def _rule(header: Mapping[str, Any]) -> list[str]:
    settings = trained_on(header.get("run"))
    task = "an unknown task" if settings is None else _code(settings.task.name)
    lines = [f"\n# A learned optimizer: {_code(header.get('rule'))}, trained on {task}\n"]
    lines.append(
        "It takes the place of Adam or SGD: it turns gradients into steps. It works best "
        "on problems like those that it was trained on, for about as many steps.\n"
    )
    if settings is not None and settings.task.settings:
        lines.append(f"- Task: {task}, {_json(settings.task.settings)}")
    return [*lines, *_common(header), f"- Settings of the rule: {_json(header.get('settings'))}\n"]


def _learner(header: Mapping[str, Any]) -> list[str]:
    data = header.get("data") or {}
    return [
        f"\n# A few-shot learner: {_code(header.get('method'))}, trained on "
        f"{_code(data.get('name'))}\n",
        "It learns classes that it has never seen from a few images of each.\n",
        *_common(header),
        f"- Backbone: {_json(header.get('backbone'))}",
        f"- Shape: {_json(header.get('shape'))}",
        f"- Settings of the method: {_json(header.get('settings'))}\n",
    ]


def _common(header: Mapping[str, Any]) -> list[str]:
    return [f"- Made with: {_json(header.get('versions'))}"]


def _use_of_rule(address: str, in_pytorch: bool) -> list[str]:
    lines = ["## Use it in JAX, as an Optax transformation\n"]
    lines += _python("import innerloop", "", f'optimizer = innerloop.load("{address}").as_optax()')
    if in_pytorch:
        lines.append("## Use it in PyTorch, as a `torch.optim.Optimizer`\n")
        lines += _python(
            "import innerloop.torch",
            "",
            f'optimizer = innerloop.torch.load("{address}", model.parameters())',
        )
    return [*lines, *_install(address, "[hub,torch]" if in_pytorch else "[hub]")]


def _use_of_learner(address: str) -> list[str]:
    return [
        "## Use it\n",
        *_python("from innerloop import fewshot", "", f'learner = fewshot.load("{address}")'),
        "On the command line, with a folder of images for each class, and a folder of others:\n",
        f"```sh\ninnerloop fewshot adapt {address} --support FOLDER --query FOLDER\n```\n",
        *_install(address, "[hub]"),
    ]


def _install(address: str, extras: str) -> list[str]:
    if not address.startswith("hf://"):
        return []
    return [f"It needs `pip install 'innerloop{extras}'`.\n"]


def _python(*lines: str) -> list[str]:
    return ["```python", *lines, "```\n"]


def _measured(path: Path | None) -> list[str]:
    """The section of results; empty where there are none."""
    if path is None or not path.is_file():
        return []
    try:
        read: Any = json.loads(read_text(path))
        rows = read if isinstance(read, list) else [read]
        lines = _accuracies(rows) if "accuracy" in rows[0] else _losses(rows[0])
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise FileError(f"{path} is damaged, or of another version.") from error
    return ["## Results\n", *lines, ""]


def _losses(results: Mapping[str, Any]) -> list[str]:
    horizon, problems = number(results["horizon"]), number(results["problems"])
    rows = [
        f"| {_code(name)} | {number(row.get('final'))} ± {number(row.get('ci95'), 2)} |"
        for name, _, row in rows_of(results)
    ]
    return [
        f"{verdict_of(results)['text']}\n",
        f"On {problems} unseen problems of {_code(results.get('task'))}; ± is the half-width of "
        "a 95 % interval.\n",
        f"| optimizer | loss at step {horizon} |\n|---|---|",
        *rows,
    ]


def _accuracies(rows: list[Mapping[str, Any]]) -> list[str]:
    lines = ["| method | data | episodes | accuracy, % |\n|---|---|---|---|"]
    for row in rows:
        accuracy = f"{100 * row['accuracy']:.2f} ± {100 * row['ci95']:.2f}"
        kind = f"{number(row['way'])}-way {number(row['shot'])}-shot"
        lines.append(f"| {_code(row['method'])} | {_code(row['data'])} | {kind} | {accuracy} |")
    return lines


def _recipe(run: Any) -> list[str]:
    """The settings of the run: as its run.toml where they are whole, and as JSON elsewhere."""
    if not run:
        return []
    settings = trained_on(run)
    if settings is None:
        try:
            text = json.dumps(run, indent=2)
        except RecursionError as error:
            raise FileError("The file's header is nested too deep for a card.") from error
        return ["## Recipe\n", f"```json\n{text}\n```\n"]
    return [
        "## Recipe\n",
        "Saved as run.toml, this trains it again: `innerloop train --config run.toml`.\n",
        f"```toml\n{fit_text(as_text(settings).rstrip(), lines=True)}\n```\n",
    ]


def _json(value: Any) -> str:
    return _code(json.dumps(value), None)


def _code(text: Any, longest: int | None = _SHOWN) -> str:
    """Text as code in a line of Markdown, that ends neither the code nor a cell of a table."""
    return f"`{fit_text(text, longest).replace('`', chr(39)).replace('|', '/')}`"
