"""`innerloop watch`: a training run's curves while it goes on."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from ._common import say
from ._settings import parse

SUMMARY = "Show a training run's curves in a browser while it goes on."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watch:
    """Show a training run's curves in a browser while it goes on.

    Serves one page on 127.0.0.1 until Ctrl-C. No other machine can reach it, and no other file
    is served.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The folder of a training run."""
    port: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """The port; 0 for a free one."""


def main(words: Sequence[str]) -> None:
    """Run the command."""
    asked = parse(Watch, words, command="watch")
    from ..report.live import address_of, serve

    server = serve(asked.run, asked.port)
    say(f"{address_of(server)} shows {asked.run}. Ctrl-C ends it.")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        say("")
    finally:
        server.server_close()
