"""Command lines, and what they do that they must not: `python watched.py COMMANDS.json`.

The file holds {"commands": [[words]], "hostile": folder, "allowed": [folders]}. Printed is one JSON
object: the status of each command, what it printed, and the forbidden events: code run that lies
in the hostile folder, a file opened for writing, removed, renamed or linked outside the allowed
folders, a process started, a connection made, a pickle that names a class.
"""

import contextlib
import io
import json
import os
import sys
import time
from pathlib import Path

PLAN = json.loads(Path(sys.argv[1]).read_text())
HOSTILE = os.path.realpath(PLAN["hostile"])
ALLOWED = tuple(os.path.realpath(folder) for folder in PLAN["allowed"])
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime", "os.setxattr", "shutil.rmtree", "shutil.move"),
}
NEVER = {
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"),
    *("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "pickle.find_class"),
    *("urllib.Request", "webbrowser.open", "ftplib.connect", "http.client.connect"),
}
events: list[str] = []


def within(place, folders):
    return any(place == folder or place.startswith(folder + os.sep) for folder in folders)


def allowed(path, *, follow):
    """Whether a change of `path` stays in the allowed folders, wherever links lead."""
    path = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - Links are not resolved.
    parent, name = os.path.split(path)
    place = os.path.realpath(path) if follow else f"{os.path.realpath(parent)}{os.sep}{name}"
    return place == os.devnull or within(place, ALLOWED)


def watch(event, given):
    if event == "exec":
        code = getattr(given[0], "co_filename", "")
        if not code.startswith("<") and within(os.path.realpath(code), (HOSTILE,)):
            events.append(f"{event} {code}")
    elif event == "open":
        path, mode, flags = given
        writes = flags & WRITING if mode is None else set(mode or "") & set("wax+")
        if writes and isinstance(path, (str, bytes)) and not allowed(path, follow=True):
            events.append(f"{event} {os.fsdecode(path)} {mode} {flags}")
    elif event in CHANGES:
        paths = [each for each in given[:2] if isinstance(each, (str, bytes, os.PathLike))]
        # A link's own words lead where they will; only what is made is looked at.
        for path in paths[-1:] if event in ("os.link", "os.symlink") else paths:
            follow = event not in ("os.remove", "os.rename", "os.link", "os.symlink", "os.rmdir")
            if not allowed(path, follow=follow):
                events.append(f"{event} {os.fsdecode(path)}")
    elif event in NEVER:
        events.append(f"{event} {given!r}"[:200])
    elif event == "ctypes.dlopen" and within(os.path.realpath(str(given[0])), (HOSTILE,)):
        events.append(f"{event} {given[0]}")


def run(main, words):
    """(exit status, what was printed, forbidden events) of one command line."""
    events.clear()
    printed = io.StringIO()
    sys.argv = ["innerloop", *words]
    status, began = 0, time.perf_counter()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            main()
        except SystemExit as stopped:
            status = stopped.code or 0
    seconds = time.perf_counter() - began
    done = {"words": words, "status": status, "seconds": seconds, "events": [*events]}
    return {**done, "printed": printed.getvalue()}


if __name__ == "__main__":
    from innerloop.cli import main
    from innerloop.cli._common import prepare

    prepare(1)  # Libraries look at the machine, some with other programs, when they are imported.
    import jax.numpy as jnp
    import matplotlib.figure
    import orbax.checkpoint  # noqa: F401

    import innerloop.experiments.fewshot  # noqa: F401

    with contextlib.suppress(ImportError):  # An extra, whose own imports start a process.
        import huggingface_hub.hf_api  # noqa: F401

    jnp.zeros(1) + 1
    matplotlib.figure.Figure().savefig(io.BytesIO())
    sys.addaudithook(watch)
    print(json.dumps([run(main, words) for words in PLAN["commands"]]))
