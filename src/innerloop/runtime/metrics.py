"""What a training run reports: metrics.jsonl, a progress bar or lines, TensorBoard."""

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

from ..errors import FileError, InnerloopError
from .files import open_for_append, read_own, replace_bytes
from .folders import refuse_links

_LARGEST = 1 << 30  # Bytes of metrics.jsonl: millions of lines.
_SHOWN = ("meta_loss", "validation")


class Log:
    """A run's reports, from meta-step `step` on.

    `metrics.jsonl` in the folder `out` holds one JSON object a line: `step`, `meta_loss`,
    `grad_norm`, `diverged` (the share of problems whose loss is not finite), `skipped` (so
    far), `validation` where there was one, and `seconds` since the run began or resumed. The
    first two are means over the steps that were not skipped. What is not finite is null.
    Lines past `step`, written after the checkpoint that a run resumes from, are dropped. Raises
    `FileError` where a line before them is damaged.
    """

    def __init__(
        self, out: str | Path | None, step: int, steps: int, *, progress: bool, tensorboard: bool
    ):
        self._start = time.perf_counter()
        self._file: IO[str] | None = None
        self._board: Any = None
        self._bar: Any = None
        self._lines, self._steps = progress and not sys.stderr.isatty(), steps
        if out is not None and tensorboard:
            refuse_links(Path(out) / "tensorboard")
        if out is not None:
            self._path = path = Path(out) / "metrics.jsonl"
            with _said(path):
                kept = _kept_lines(path, step) if step and path.exists() else []
                replace_bytes(path, b"".join(kept))
                self._file = open_for_append(path)
        if tensorboard:
            if out is None:
                raise InnerloopError(
                    "TensorBoard logging needs a folder to write to; out is None.",
                    arguments=("out",),
                )
            self._board = _board(Path(out) / "tensorboard", step)
        if progress and not self._lines:
            self._bar = _bar(step, steps)

    def __enter__(self) -> "Log":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._file is not None:
            with contextlib.suppress(OSError):  # What could not be written was said by `write`.
                self._file.close()
        if self._board is not None:
            self._board.close()

    def sync(self) -> None:
        """See to it that what was reported is on the disk, as the checkpoint after it will be."""
        if self._file is not None:
            with _said(self._path):
                os.fsync(self._file.fileno())

    def advance(self) -> None:
        """One meta-step is done."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])

    def write(self, step: int, entry: dict[str, float]) -> None:
        """Report the metrics of `step`. Raises `InnerloopError` where they cannot be written."""
        if self._file is not None:
            path = self._path
            seconds = round(time.perf_counter() - self._start, 3)
            with _said(path):
                path.stat()  # A file that was removed can be written to, and is lost.
                line = {"step": step, **{name: _finite(each) for name, each in entry.items()}}
                self._file.write(json.dumps({**line, "seconds": seconds}, allow_nan=False) + "\n")
                self._file.flush()
        if self._board is not None:
            for name, number in entry.items():
                self._board.add_scalar(name, number, step)
        shown = {name: f"{entry[name]:.4g}" for name in _SHOWN if name in entry}
        if self._lines and "validation" in shown:
            # Where nobody looks on, a bar would be one line at the end.
            of = ", ".join(f"{name.replace('_', '-')} {number}" for name, number in shown.items())
            print(f"meta-step {step:,} of {self._steps:,}: {of}", file=sys.stderr, flush=True)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], **shown)


@contextlib.contextmanager
def _said(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise InnerloopError(
            f"Cannot write {path} ({error.strerror}), so that the run ends here. Once the folder "
            "can be written to again, a run with resume goes on from the last checkpoint.",
            arguments=("resume",),
        ) from error


def _finite(number: int | float) -> int | float | None:
    return number if math.isfinite(number) else None


def _kept_lines(path: Path, step: int) -> list[bytes]:
    """The lines of a file of metrics up to `step`. Those after them are to be written again.

    Raises:
        OSError: It cannot be read.
        FileError: One of them is damaged.
    """
    kept: list[bytes] = []
    last, over = 0, False
    # What follows the last line break was never finished.
    for number, line in enumerate(read_own(path, _LARGEST).split(b"\n")[:-1], 1):
        found = _step_of(line)
        over = over or (found is not None and found > step)
        if not over and found is not None and found > last:
            kept.append(line + b"\n")
            last = found
        elif not over or (found is not None and found <= step):
            raise FileError(
                f"{path} is damaged in line {number}, which should be the metrics of a meta-step. "
                "Mend the line, or remove the file, and resume again: the run goes on without it.",
            )
    return kept


def _step_of(line: bytes) -> int | None:
    """The meta-step of a line, or None where it is no line of ours."""
    try:
        found = json.loads(line)["step"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if type(found) is int else None


def _board(folder: Path, step: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise InnerloopError(
            "TensorBoard logging needs the package tensorboardX: "
            "pip install 'innerloop[tensorboard]'."
        ) from error
    return SummaryWriter(str(folder), purge_step=step or None)


def _bar(step: int, steps: int) -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f} steps/s")

    bar = Progress(
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[meta_loss]}"),
        TextColumn("validation {task.fields[validation]}"),
        Speed(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    bar.add_task("training", total=steps, completed=step, meta_loss="–", validation="–")
    return bar
