"""A training run's page, served while the run goes on."""

import http.server
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import InnerloopError
from .about import About
from .page import render
from .saved import settings_text, steps_of
from .training import read_metrics, training_page

HOST = "127.0.0.1"


def live_page(folder: Path) -> dict[str, Any]:
    """The page of a run as it is now. It asks its server for news every two seconds.

    Raises:
        FileError: The folder holds no training run.
    """
    about = About(title=f"Training: {folder.name}", settings=settings_text(folder))
    page = training_page(read_metrics(folder), steps=steps_of(folder), about=about)
    return {**page, "live": True}


def serve(folder: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server of one run's page on 127.0.0.1; call its `serve_forever`, and `server_close`.

    It answers for two addresses, the page and its data, and serves no file. A request that
    names another host is refused, so that no other page can read the run through a browser.

    Args:
        folder: The run's folder.
        port: Where to listen; 0 for a free one.

    Raises:
        FileError: The folder holds no training run.
        InnerloopError: The port is not to be had.
    """
    live_page(folder)
    try:
        server = http.server.ThreadingHTTPServer((HOST, port), _handler(folder))
    except (OSError, OverflowError) as error:
        raise InnerloopError(
            f"Cannot listen on port {port} of {HOST}; name another, or 0 for a free one.",
            arguments=("port",),
        ) from error
    server.daemon_threads = True
    return server


def address_of(server: http.server.ThreadingHTTPServer) -> str:
    """The address of a server's page."""
    return f"http://{HOST}:{server.server_port}/"


def _handler(folder: Path) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers for the page and its data, and for nothing else."""

        server_version, sys_version = "innerloop", ""

        def do_GET(self) -> None:
            port = self.connection.getsockname()[1]
            if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
                self.send_error(403)
                return
            path = urlsplit(self.path).path
            try:
                if path == "/":
                    self._answer("text/html; charset=utf-8", render(live_page(folder)))
                elif path == "/page.json":
                    self._answer("application/json", json.dumps(live_page(folder)))
                else:
                    self.send_error(404)
            except InnerloopError:
                self.send_error(410)  # The run's folder has gone.

        def _answer(self, kind: str, text: str) -> None:
            content = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
