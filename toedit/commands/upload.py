"""An output in an object store: finished files are uploaded and verified, in an order for readers.

``upload.json`` comes first: it lists what belongs to the output, with size and SHA-256. The
statistics come last, so that whoever finds them finds a complete output. Only what the list names
is ever replaced or removed. A store has no locks: the work folder has, on this machine.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toedit.corpora.files import parse_json
from toedit.corpora.remote import address_errors, address_path, file_system
from toedit.corpora.stores import is_object_store
from toedit.embedded import cache_folder
from toedit.errors import UserError, damaged
from toedit.identity import file_hash

MANIFEST = "upload.json"
SHARD = r"/train-\d{5,}-of-\d{5,}\.parquet"
PART = 50 * 2**20
"""Bytes of a part of a large file, as s3fs uploads it; the checksum of the store depends on it."""

CHUNK = 1 << 20


def output_address(text: str) -> str:
    """The address of an output, without a slash at its end.

    Raises:
        UserError: no output can be there.
    """
    scheme, _, place = text.rstrip("/").partition("://")
    if not place or "::" in text or "*" in text or scheme in ("http", "https"):
        raise UserError(
            f"--output {text!r} is no address of a folder that can be written, such as "
            "s3://BUCKET/FOLDER"
        )
    return f"{scheme}://{place}"


def work_folder(address: str) -> Path:
    """Where the files of an output are made before they are uploaded."""
    digest = hashlib.sha256(address.encode()).hexdigest()[:12]
    name = re.sub(r"[^\w.-]", "_", address.rpartition("/")[2])[:60]
    return cache_folder() / "outputs" / f"{name}-{digest}"


class Upload:
    """The output at an address.

    Args:
        address: of its folder.
        results: files and folders of shards that the command writes; the statistics are last.
    """

    def __init__(self, address: str, results: Sequence[str]) -> None:
        self.address, self.results = address, results
        with address_errors(address, "write"):
            self.files, self.folder = file_system(address)

    def check(self, force: bool) -> dict[str, Any]:
        """Read the list of what belongs to the output.

        Returns:
            The manifest: identity of the command and files by name; empty if there is none.

        Raises:
            UserError: there is a finished output (without ``force``), or anything else.
        """
        names = self._names()
        manifest = self._manifest() if MANIFEST in names else {}
        ours = manifest.get("files", {})
        if self.results[-1] in ours and self.results[-1] in names and not force:
            raise UserError(f"{self.address!r} holds a finished output; --force replaces it")
        foreign = next((name for name in names if name not in (MANIFEST, *ours)), None)
        if foreign is not None and manifest:
            raise UserError(
                f"{self.address!r} holds {foreign!r}, which is not of this command, so nothing is "
                "replaced; move it or choose another address"
            )
        if foreign is not None:
            raise UserError(
                f"{self.address!r} is not empty and no output of this command (it holds "
                f"{foreign!r}); choose another address"
            )
        return manifest

    def begin(self, identity: str, force: bool) -> None:
        """Remove an old output if ``force``, and note what is begun, before any work is done.

        Raises:
            UserError: something else was uploaded, or the store takes nothing.
        """
        manifest = self.check(force)
        files = manifest.get("files", {})
        if files and not force and manifest["identity"] != identity:
            raise UserError(
                f"{self.address!r} holds an unfinished output that was begun with something else: "
                "go back to that, choose another address, or start over with --force"
            )
        if force:
            self._remove(files)
            files = {}
        self._write(identity, files)

    def send(self, output: Path, identity: str) -> None:
        """Upload the files of an output that are not there yet, and check each.

        Raises:
            UserError: the store takes none, or holds what another command began meanwhile.
        """
        manifest = self.check(force=False)
        if manifest.get("identity") != identity:
            raise UserError(f"another command has begun an output at {self.address!r} meanwhile")
        paths = {}
        for result in self.results:
            if not (output / result).exists():  # not every command line writes every result
                continue
            shards = sorted((output / result).glob("*.parquet"))
            for path in shards if (output / result).is_dir() else [output / result]:
                paths[path.relative_to(output).as_posix()] = path
        self._remove([name for name in manifest["files"] if name not in paths])
        files = {
            name: {"bytes": path.stat().st_size, "sha256": file_hash(path)}
            for name, path in paths.items()
        }
        self._write(identity, files)
        there = set(self._names())
        for name, path in paths.items():
            place = f"{self.address}/{name}"
            with address_errors(place, "write"):
                if name in there and self._holds(name, path):
                    continue
                if not is_object_store(self.address):
                    self.files.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)
                self.files.put_file(str(path), self._path(name))
                if not self._holds(name, path):
                    raise UserError(
                        f"{place!r} is not what was uploaded (size or checksum differ): run the "
                        "same command again"
                    )

    def _path(self, name: str) -> str:
        return f"{self.folder.rstrip('/')}/{name}"

    def _names(self) -> list[str]:
        """Names below the address."""
        with address_errors(self.address, "write"):
            try:
                found = self.files.find(self.folder, detail=True)
            except FileNotFoundError:
                if is_object_store(self.address):
                    raise
                return []
        names = (path[len(self.folder) :].strip("/") for path, entry in found.items()
                 if entry["type"] == "file" and not path.endswith("/"))  # fmt: skip
        return sorted(name or address_path(self.address) for name in names)

    def _manifest(self) -> dict[str, Any]:
        """The manifest, which may be somebody else's: it names results only."""
        place = f"{self.address}/{MANIFEST}"
        with address_errors(place):
            text = self.files.cat_file(self._path(MANIFEST))
        known = re.compile(rf"({'|'.join(map(re.escape, self.results))})({SHARD})?")
        try:
            manifest: dict[str, Any] = parse_json(text.decode(), dict)
            files, identity = manifest.get("files"), manifest.get("identity")
            if not isinstance(files, dict) or not isinstance(identity, str):
                raise ValueError("it lists no files")
        except ValueError as error:
            raise damaged(place, error) from error
        return {"identity": identity, "files": {k: v for k, v in files.items()
                                                if known.fullmatch(k)}}  # fmt: skip

    def _write(self, identity: str, files: dict[str, Any]) -> None:
        with address_errors(self.address, "write"):
            if not is_object_store(self.address):
                self.files.makedirs(self.folder, exist_ok=True)
            text = json.dumps({"identity": identity, "files": files}, indent=1)
            self.files.pipe_file(self._path(MANIFEST), f"{text}\n".encode())

    def _remove(self, names: Sequence[str] | dict[str, Any]) -> None:
        """Remove files that are there, the statistics first."""
        there = set(self._names())
        last = self.results[-1]
        with address_errors(self.address, "write"):
            for name in sorted(there.intersection(names), key=lambda name: (name != last, name)):
                self.files.rm_file(self._path(name))

    def _holds(self, name: str, path: Path) -> bool:
        """Whether the store holds the content of a file, by its checksum or else by reading it."""
        entry = self.files.info(self._path(name))
        if entry["size"] != path.stat().st_size:
            return False
        md5 = base64.b64decode(entry.get("md5Hash", "")).hex()  # Google's
        if {str(entry.get("ETag", "")).strip('"'), md5}.intersection(_etags(path)):
            return True
        digest = hashlib.sha256()
        with self.files.open(self._path(name), "rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest() == file_hash(path)


def _etags(path: Path) -> tuple[str, str]:
    """What S3 calls a file uploaded whole, and in parts: MD5, and MD5 of the MD5 of parts."""
    whole, parts = hashlib.md5(usedforsecurity=False), []
    with path.open("rb") as handle:
        while chunk := handle.read(PART):
            whole.update(chunk)
            parts.append(hashlib.md5(chunk, usedforsecurity=False).digest())
    joined = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
    return whole.hexdigest(), f"{joined}-{len(parts)}"
