"""What all commands share: kinds of options, and how they speak."""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import InnerloopError

ALONE = "(default: one process)"
OWN = "(default: the experiment's own)"
FOLDER = tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: under runs/)")
KeyValues = Annotated[
    tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE ...", help_behavior_hint="(default: none)")
]
Names = Annotated[
    tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: none)")
]
Int = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint=OWN)]
Float = Annotated[float | None, tyro.conf.arg(metavar="X", help_behavior_hint=OWN)]
Switch = Annotated[bool | None, tyro.conf.arg(metavar="True|False", help_behavior_hint=OWN)]
Folder = Annotated[Path | None, FOLDER]
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


OneRun = Annotated[Hosts, tyro.conf.OmitArgPrefixes]
NO_HOSTS = Hosts()


def prepare(devices: int | None = None, hosts: Hosts | None = None) -> None:
    """One JAX device a core, compiled programs kept, and no messages that concern nobody."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from ..runtime.compilation import keep_compiled
    from ..runtime.devices import split_cores
    from ..runtime.hosts import is_first, join_hosts

    if devices is not None and devices < 1:
        raise InnerloopError(f"devices is {devices}; it must be at least 1.")
    split_cores(devices)
    keep_compiled()
    if hosts is not None:
        join_hosts(
            hosts.coordinator, hosts.num_processes, hosts.process_id, scheduler=hosts.scheduler
        )
        if not is_first():
            # One process speaks for the run; all of them say what goes wrong.
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115


def say(text: str) -> None:
    print(text, flush=True)


def report(message: str) -> None:
    print(f"{message} …", file=sys.stderr, flush=True)
