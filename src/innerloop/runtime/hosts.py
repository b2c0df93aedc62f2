"""Many processes as one run, on one machine or many: JAX's own engine, joined and left."""

import os
import sys
import time
from typing import NoReturn

from ..errors import InnerloopError, SettingsError

HEARTBEAT = 30
"""Seconds without a sign of life after which a process of the run counts as dead."""
_PATIENCE = 300  # Seconds to wait for the other processes at the start.
_joined = False


def join_hosts(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    scheduler: bool = False,
) -> None:
    """Join the other processes of a run; without arguments, this process is the whole run.

    `coordinator` is process 0's HOST:PORT, the same for all; or `scheduler` says that Slurm,
    Open MPI or Kubernetes started the processes, and JAX finds all three out from their
    environment. It has to be called before JAX is first used. Raises `InnerloopError` where
    arguments are missing or make no sense, or the others do not come within five minutes.
    """
    given = {
        "coordinator": coordinator,
        "num_processes": num_processes,
        "process_id": process_id,
    }
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given) and not scheduler:
        return
    if scheduler and len(missing) < len(given):
        raise InnerloopError(
            "scheduler finds out what coordinator, num_processes and process_id say; give it or "
            "the three of them.",
            arguments=("scheduler", *given),
        )
    if not scheduler:
        if missing:
            raise InnerloopError(
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; several "
                "processes are one run with coordinator, which is HOST:PORT, num_processes and "
                "process_id.",
                arguments=tuple(given),
            )
        assert coordinator and num_processes is not None and process_id is not None
        _check(coordinator, num_processes, process_id)

    import jax

    global _joined
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=_PATIENCE,
            heartbeat_timeout_seconds=HEARTBEAT,
        )
    except Exception as error:  # JAX's own kinds, and gRPC's.
        where = "as the scheduler's environment says" if scheduler else f"at {coordinator}"
        reason = " ".join(str(error).split())[:200]
        raise InnerloopError(f"The processes of the run did not meet {where}: {reason}") from error
    _joined = True


def _check(coordinator: str, num_processes: int, process_id: int) -> None:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise SettingsError("coordinator", coordinator, "HOST:PORT")
    if num_processes < 1:
        raise SettingsError("num_processes", num_processes, "a whole number of at least 1")
    if not 0 <= process_id < num_processes:
        last = num_processes - 1
        raise SettingsError("process_id", process_id, f"a whole number from 0 to {last}")


def is_first() -> bool:
    """Whether this process speaks and writes for the run."""
    import jax

    return jax.process_index() == 0


def alone() -> bool:
    """Whether this process is the whole run."""
    import jax

    return jax.process_count() == 1


def leave(code: int) -> NoReturn:
    """End the process. One of many does not wait for the others, which may be gone."""
    if _joined:
        sys.stdout.flush()
        sys.stderr.flush()
        # When process 0 ends JAX ends the others: what went wrong for all may all say.
        time.sleep(1)
        os._exit(code)
    sys.exit(code)
