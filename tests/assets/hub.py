"""A hub on this machine for the real clients, which find it by ``HF_ENDPOINT``.

It answers what ``huggingface_hub`` asks in order to read repositories: their information, trees
and files, at a branch or commit, those of LFS behind a redirect to another host, with a token or
without; and it fails as a test asks for.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LFS = (".parquet", ".safetensors", ".gz", ".zst", ".zip", ".bin")
RESOLVE = re.compile(r"/(datasets/|)([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
QUESTION = re.compile(
    r"/api/((?:models|datasets)/[^/]+/[^/]+)"
    r"(?:/(revision|tree|paths-info|auth-check)(?:/([^/]+)/?(.*))?)?"
)


@dataclass
class Repository:
    """Files by path, by commit, oldest first; ``members``: tokens that may read a gated one."""

    gated: bool = False
    members: tuple[str, ...] = ()
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)


@dataclass
class Fault:
    """What happens to the next ``times`` requests in whose method and path ``pattern`` occurs."""

    pattern: str
    status: int = 200  # for the right answer
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None  # bytes of the right answer after which the connection breaks
    then: Callable[[], Any] = lambda: None  # called before the answer


class Hub:
    """The server, which runs while the object is a context."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}  # by models/ORG/NAME or datasets/ORG/NAME
        self.stored: dict[str, bytes] = {}  # contents by their SHA-256
        self.faults: list[Fault] = []  # the first that fits a request is taken
        self.requests: list[tuple[str, str, dict[str, str]]] = []  # method, path and headers
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("", (Handler,), {"hub": self}))
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.storage = f"http://localhost:{self.server.server_port}"  # another host, as for LFS

    def __enter__(self) -> "Hub":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add(self, name: str, files: Mapping[str, bytes | str] | Path, **access: Any) -> str:
        """Commit files, or those of a folder, to a repository; returns the commit."""
        if isinstance(files, Path):
            paths = filter(Path.is_file, files.rglob("*"))
            files = {str(path.relative_to(files)): path.read_bytes() for path in paths}
        content = {n: body.encode() if isinstance(body, str) else body for n, body in files.items()}
        self.stored |= {hashlib.sha256(body).hexdigest(): body for body in content.values()}
        commits = self.repositories.setdefault(name, Repository(**access)).commits
        commits[commit := hashlib.sha1(f"{name} {len(commits)}".encode()).hexdigest()] = content
        return commit

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """Variables of a command that knows no other hub; its cache is in the folder ``home``."""
        names = {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0",
                 "HF_DATASETS_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}  # fmt: skip
        return names | ({"HF_TOKEN": token} if token else {})


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        url = urlsplit(self.path)
        self.cut, path = None, unquote(url.path)
        self.hub.requests.append((self.command, self.path, dict(self.headers)))
        for fault in self.hub.faults:
            if fault.times and re.search(fault.pattern, f"{self.command} {self.path}"):
                fault.times -= 1
                fault.then()
                self.cut = fault.cut
                if fault.status != 200:
                    return self.answer(fault.status, headers=fault.headers)
                break
        if match := RESOLVE.fullmatch(path):
            return self.file(f"{match[1] or 'models/'}{match[2]}", match[3], match[4])
        if match := QUESTION.fullmatch(path):
            query = parse_qs(url.query) | parse_qs(body)
            return self.information(match[1], match[2], match[3] or "main", match[4] or "", query)
        if path.startswith("/lfs/") and (oid := path.split("/")[2]) in self.hub.stored:
            return self.content(self.hub.stored[oid], {"ETag": f'"{oid}"'})
        if path == "/api/whoami-v2":
            return self.json({"name": "somebody"}) if self.token else self.answer(401)
        return self.answer(404)

    do_HEAD = do_POST = do_GET

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def find(self, name: str, revision: str, files: bool = False) -> tuple[str, dict] | None:
        """A commit and its files; None after an answer that says why not, to files if gated."""
        if (repository := self.hub.repositories.get(name)) is None:
            return self.refuse(404 if self.token else 401, "RepoNotFound")  # as the hub does
        if files and repository.gated and self.token not in repository.members:
            return self.refuse(403 if self.token else 401, "GatedRepo")
        commit = list(repository.commits)[-1] if revision == "main" else revision
        if commit not in repository.commits:
            return self.refuse(404, "RevisionNotFound")
        return commit, repository.commits[commit]

    def file(self, name: str, revision: str, path: str) -> None:
        """Answer with a file, or with the place of its content."""
        if (found := self.find(name, revision, files=True)) is None:
            return
        headers, content = {"X-Repo-Commit": found[0]}, found[1].get(path)
        if content is None:
            self.refuse(404, "EntryNotFound", headers)
        elif path.endswith(LFS):
            oid = entry(path, content)["lfs"]["oid"]
            headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content))}
            self.answer(302, b"", {"Location": f"{self.hub.storage}/lfs/{oid}/{path}", **headers})
        else:
            self.content(content, {"ETag": f'"{entry(path, content)["oid"]}"', **headers})

    def content(self, content: bytes, headers: Mapping[str, str]) -> None:
        """Answer with a content, or with the range of it that is asked for."""
        if (match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))) is None:
            return self.answer(200, content, headers)
        start, stop = int(match[1]), min(int(match[2] or len(content)) + 1, len(content))
        span = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"}
        return self.answer(206 if start < stop else 416, content[start:stop], {**headers, **span})

    def information(
        self, name: str, what: str | None, revision: str, path: str, query: dict[str, list[str]]
    ) -> None:
        """Answer a question about a repository, its folders or some of its paths."""
        if (found := self.find(name, revision, files=what == "auth-check")) is None:
            return None
        commit, files = found
        entries = {file: entry(file, content) for file, content in files.items()}
        for folder in {str(parent) for f in files for parent in PurePosixPath(f).parents} - {"."}:
            entries[folder] = {"type": "directory", "path": folder, "oid": commit}
        if what == "paths-info":
            return self.json([entries[p] for p in query.get("paths", []) if p in entries])
        if what == "tree":
            deep = query.get("recursive", [""])[0].lower() == "true"
            inside = [e for p, e in sorted(entries.items()) if p.startswith(f"{path}/" * bool(path))
                      and (deep or str(PurePosixPath(p).parent) == (path or "."))]  # fmt: skip
            return self.json(inside) if inside else self.refuse(404, "EntryNotFound")
        gated = "manual" if self.hub.repositories[name].gated else False
        return self.json({"id": name.partition("/")[2], "sha": commit, "gated": gated,
                          "siblings": [{"rfilename": file} for file in files]})  # fmt: skip

    def refuse(self, status: int, code: str, headers: Mapping[str, str] = {}) -> None:
        self.answer(status, b"", {"X-Error-Code": code, **headers})

    def json(self, value: Any) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        """Send an answer; a fault may cut it and the connection."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection |= self.cut is not None
        self.wfile.write(b"" if self.command == "HEAD" else body[: self.cut])


def entry(path: str, content: bytes) -> dict[str, Any]:
    """A file as a tree lists it."""
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    found = {"type": "file", "path": path, "size": len(content), "oid": oid}
    lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return found | ({"lfs": lfs} if path.endswith(LFS) else {})
