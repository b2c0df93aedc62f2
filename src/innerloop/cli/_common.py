"""What all commands share: kinds of options, and how they speak."""

import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..errors import SettingsError
from ..runtime.names import fit_component, fit_text
from ._settings import Flat

if TYPE_CHECKING:
    from ..metatrain import RunOptions

ALONE = "(default: one process)"
OWN = "(default: the experiment's own)"
FOLDER = tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: under runs/)")
Int = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint=OWN)]
Float = Annotated[float | None, tyro.conf.arg(metavar="X", help_behavior_hint=OWN)]
Folder = Annotated[Path | None, FOLDER]
Config = Annotated[
    Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="(default: none)")
]
DataFolder = Annotated[
    Path | None,
    tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: INNERLOOP_DATA or the cache)"),
]
Devices = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: all)")]


@dataclasses.dataclass(frozen=True)
class Hosts:
    """Several processes, on one machine or many, as one run; each is given the same command."""

    coordinator: Annotated[
        str | None, tyro.conf.arg(metavar="HOST:PORT", help_behavior_hint=ALONE)
    ] = None
    """Where process 0 listens."""
    num_processes: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint=ALONE)] = (
        None
    )
    """How many processes there are."""
    process_id: Annotated[int | None, tyro.conf.arg(metavar="I", help_behavior_hint=ALONE)] = None
    """Which of them this is, from 0."""
    scheduler: bool = False
    """Find out all three from Slurm, Open MPI or Kubernetes, which started the processes."""


OneRun = Annotated[Hosts, Flat]
NO_HOSTS = Hosts()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a command reads and writes."""

    out: Folder = None
    """The folder to write into."""
    data_dir: DataFolder = None
    """The folder that holds the data."""
    devices: Devices = None
    """CPU cores to use, in every process."""

    @property
    def data(self) -> str | None:
        """`data_dir` as the library takes it."""
        return None if self.data_dir is None else str(self.data_dir)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingPlace(Place):
    """Where a training command writes, and how it goes on."""

    resume: bool = False
    """Go on from the newest checkpoint in the folder."""
    tensorboard: bool = False
    """Write TensorBoard logs too."""
    hosts: OneRun = NO_HOSTS
    """Several processes as one run."""

    def options(self, folder: Path, command: str, words: Sequence[str]) -> "RunOptions":
        """How the run is kept in a folder, and the command that goes on with it."""
        from ..metatrain import RunOptions

        again = shlex.join(
            ["innerloop", *command.split(), *(word for word in words if word != "--resume")]
        )
        return RunOptions(
            out=folder,
            resume=self.resume,
            progress=True,
            tensorboard=self.tensorboard,
            resume_hint=f"run:\n  {again} --resume",
        )


def prepare(devices: int | None = None, hosts: Hosts | None = None) -> None:
    """One JAX device a core, compiled programs kept, and no messages that concern nobody."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from ..runtime.compilation import keep_compiled
    from ..runtime.devices import split_cores
    from ..runtime.hosts import is_first, join_hosts

    if devices is not None and devices < 1:
        raise SettingsError("devices", devices, "a whole number of at least 1")
    split_cores(devices)
    keep_compiled()
    if hosts is not None:
        join_hosts(
            hosts.coordinator, hosts.num_processes, hosts.process_id, scheduler=hosts.scheduler
        )
        if not is_first():
            # One process speaks for the run; all of them say what goes wrong.
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115


def fresh_folder(name: str) -> Path:
    """A folder under runs/ for a command's results that no other command has written into.

    Args:
        name: What the results are of. Characters that a folder's name should not have become
            hyphens.
    """
    base = Path("runs") / fit_component(name)
    folder, number = base, 2
    while folder.exists() and any(folder.iterdir()):
        folder, number = base.with_name(f"{base.name}-{number}"), number + 1
    return folder


AsJson = Annotated[
    bool, tyro.conf.arg(name="json", help="Print JSON, and nothing else, on standard output.")
]


def say_json(value: Any) -> None:
    """Print the results of a command for a program that reads them."""
    print(json.dumps(value, indent=2, allow_nan=False), flush=True)


def say(text: str) -> None:
    """Print a line of a command's results."""
    print(fit_text(text, lines=True), flush=True)


def report(message: str) -> None:
    """Print a line of progress on standard error: what goes on, or a sentence."""
    text = fit_text(message)
    print(text if text.endswith(".") else f"{text} …", file=sys.stderr, flush=True)
