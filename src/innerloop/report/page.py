"""A page out of its parts: everything in one file, and only our scripts run."""

import base64
import functools
import hashlib
import html
import importlib.resources
import json
from pathlib import Path
from typing import Any

from ..runtime.files import write_output
from ..runtime.names import fit_text

FILE = "report.html"
SCRIPTS = ("dom.js", "chart.js", "comparison.js", "sections.js", "main.js")


def render(page: dict[str, Any]) -> str:
    """The HTML of a page.

    Args:
        page: `title`, `verdict` (a dict with `text` and perhaps `outcome`), and `sections`, the
            parts in order. All of it may come from anybody: the page takes it as data.

    Returns:
        The page. Its policy lets the browser run our two scripts, which it knows by their
        digests, and load nothing at all.
    """
    connect = "'self'" if page.get("live") else "'none'"
    policy = (
        f"default-src 'none'; script-src {_hashes(*_scripts())}; style-src {_hashes(_style())}; "
        f"img-src data:; connect-src {connect}; base-uri 'none'; form-action 'none'"
    )
    uplot, own = _scripts()
    parts = {
        "POLICY": html.escape(policy, quote=False),
        "TITLE": html.escape(fit_text(page["title"])),
        "VERDICT": html.escape(fit_text(page["verdict"]["text"])),
        "STYLE": _style(),
        "UPLOT": uplot,
        "SCRIPT": own,
        "DATA": embedded(page),
    }
    # One pass: what is put in is not looked at again.
    pieces = _asset("page.html").split("@@")
    return "".join(parts[piece] if n % 2 else piece for n, piece in enumerate(pieces))


def write_page(page: dict[str, Any], folder: Path) -> Path:
    """Write report.html into a folder, and return its path.

    Raises:
        FileError: The file cannot be written, or is a symbolic link.
    """
    return write_output(folder / FILE, render(page))


def embedded(data: Any) -> str:
    """JSON that can stand inside a script element: it has no `<`, `>` or `&`."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@functools.cache
def _scripts() -> tuple[str, str]:
    own = "".join(_asset(name) for name in SCRIPTS)
    return _asset("uPlot.iife.min.js"), f'"use strict";\n(() => {{\n{own}}})();'


@functools.cache
def _style() -> str:
    return _asset("uPlot.min.css") + _asset("report.css")


def _hashes(*texts: str) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(each).decode()}'" for each in digests)


def _asset(name: str) -> str:
    return (importlib.resources.files("innerloop.report") / "assets" / name).read_text(
        encoding="utf-8"
    )
