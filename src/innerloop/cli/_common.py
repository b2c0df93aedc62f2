"""What all commands share: kinds of options, and how they speak."""

import os
import sys
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import InnerloopError

OWN = "(default: the experiment's own)"
FOLDER = tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: under runs/)")
KeyValues = Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE ...")]
Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")]
Int = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint=OWN)]
Float = Annotated[float | None, tyro.conf.arg(metavar="X", help_behavior_hint=OWN)]
Switch = Annotated[bool | None, tyro.conf.arg(metavar="True|False", help_behavior_hint=OWN)]
Folder = Annotated[Path | None, FOLDER]
DataFolder = Annotated[
    Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: INNERLOOP_DATA)")
]
Devices = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: all)")]


def prepare(devices: int | None = None) -> None:
    """One JAX device a core, compiled programs kept, and no messages that concern nobody."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from ..compiled import keep_compiled
    from ..mesh import split_cores

    if devices is not None and devices < 1:
        raise InnerloopError(f"devices is {devices}; it must be at least 1.")
    split_cores(devices)
    keep_compiled()


def say(text: str) -> None:
    print(text, flush=True)


def report(message: str) -> None:
    print(f"{message} …", file=sys.stderr, flush=True)
