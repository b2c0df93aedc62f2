"""A server on this machine that speaks as much of the Hugging Face Hub's protocol as is needed."""

import base64
import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_right"


class Hub(BaseHTTPRequestHandler):
    """Repositories in memory: {USER/NAME: {file: content}}; one class for each server."""

    protocol_version = "HTTP/1.1"
    repositories: dict[str, dict[str, bytes]]
    asked: list[str]
    sizes: dict[str, int]
    """What is said of files by their name, whatever is true."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(f"POST {self.path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Invalid username or password."})
        elif self.path == "/api/repos/create":
            self._create(json.loads(body))
        elif self.path == "/api/validate-yaml":
            text = json.loads(body)["content"]
            self._answer(200 if text.startswith("---\n") else 400, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        else:
            self._commit(body)

    def do_HEAD(self):
        self.asked.append(f"{self.command} {self.path}")
        user, name, _, revision, file = self.path.strip("/").split("/", 4)
        repository = self.repositories.get(f"{user}/{name}")
        commit = None if repository is None else _commit_of(repository)
        if repository is None:
            self._missing("RepoNotFound")
        elif revision not in ("main", commit):
            self._missing("RevisionNotFound")
        elif file not in repository:
            self._missing("EntryNotFound", commit)
        else:
            content = repository[file]
            self.send_response(200)
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            size = self.sizes.get(file, len(content)) if self.command == "HEAD" else len(content)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    def do_GET(self):
        if not self.path.startswith("/api/"):
            self.do_HEAD()
            return
        self.asked.append(f"GET {self.path}")
        name = self.path.removeprefix("/api/models/")
        if name not in self.repositories:
            self._missing("RepoNotFound")
        else:
            self._answer(200, {"id": name, "sha": _commit_of(self.repositories[name])})

    def _create(self, asked):
        name = f"{asked['organization']}/{asked['name']}"
        status = 409 if name in self.repositories else 200
        self.repositories.setdefault(name, {})
        server = f"http://{self.headers['Host']}"
        self._answer(status, {"url": f"{server}/{name}", "id": name})

    def _commit(self, body):
        name = "/".join(self.path.split("/")[3:5])
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                self.repositories[name][line["value"]["path"]] = content
        commit = _commit_of(self.repositories[name])
        url = f"http://{self.headers['Host']}/{name}/commit/{commit}"
        self._answer(200, {"commitUrl": url, "commitOid": commit, "success": True})

    def _missing(self, code, commit=None):
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        if commit is not None:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, status, content):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _commit_of(repository):
    return hashlib.sha1(repr(sorted(repository.items())).encode()).hexdigest()


@contextlib.contextmanager
def serve():
    """(address, the handler's class, with what it holds and was asked) while entered."""
    hub = type("OneHub", (Hub,), {"repositories": {}, "asked": [], "sizes": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), hub)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
