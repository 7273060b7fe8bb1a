"""Names on the hub: the commits that they stand for, and one line for what its clients raise.

A name is ``OWNER/NAME`` or ``OWNER/NAME@REVISION``; the revision is a branch, a tag or a commit. A
branch moves, so every name is resolved to a commit before anything is loaded, and work that keeps
its commits in a file goes on at them after an interruption.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from toedit.corpora.files import read_json, write_json
from toedit.errors import UserError, causes_of, damaged, environment_problem
from toedit.network import cache_if_unreachable, is_unreachable

log = logging.getLogger(__name__)

DATASET, MODEL = "dataset", "model"
WORDS = {DATASET: "data set", MODEL: "model"}

FILES = {DATASET: ("README.md",), MODEL: ("config.json", "tokenizer_config.json", "tokenizer.json")}
"""Small files of which a repository has one, and the cache too if it was used before."""

COMMIT = re.compile(r"[0-9a-f]{40}")
REVISION = r"(?:refs/(?:convert|pr)/[\w.-]+|[\w.-]+)"
NAMED = re.compile(rf"([\w-][\w.-]*(?:/[\w.-]+)?)@({REVISION}|[\w./-]+)")
ADDRESS = re.compile(rf"hf://(datasets/|)([\w.-]+/[\w.-]+)(?:@({REVISION}))?(?=/|$)")
"""Owner and name in an address, and its revision."""

Commits = dict[str, str]
"""Commits by ``models/NAME@REVISION`` or ``datasets/NAME@REVISION``."""


@dataclass
class _Kept:
    """Commits of this block in a file, and those that others resolved before."""

    commits: Commits
    file: Path | None = None
    known: Commits = field(default_factory=dict)


_kept = _Kept({})
_warned: set[tuple[str, str]] = set()


@contextmanager
def kept_commits(path: Path, known: Commits = {}, fresh: bool = False) -> Iterator[Commits]:  # noqa: B006
    """Go on at the commits in a file, and add those that the block uses to it.

    Args:
        path: the file, which need not exist.
        known: further commits to go on at.
        fresh: forget those in the file.

    Yields:
        The commits that the block uses.

    Raises:
        UserError: the file is damaged.
    """
    global _kept
    commits = read_json(path, dict) if path.exists() and not fresh else {}
    if not all(isinstance(c, str) and COMMIT.fullmatch(c) for c in commits.values()):
        raise damaged(path, "it holds no commits")
    before, _kept = _kept, _Kept(commits, path, known)
    try:
        yield commits
    finally:
        _kept = before


def split_revision(name: str, revision: str | None = None) -> tuple[str, str | None]:
    """The name and its revision, which may stand behind an ``@``; local paths stay whole.

    Raises:
        UserError: there are two revisions.
    """
    found = NAMED.fullmatch(name)
    if found is None or os.path.exists(name):
        return name, revision
    if revision is not None and not found[2].startswith(revision):
        raise UserError(f"{name!r} names another revision than {revision!r}; leave one of them out")
    return found[1], found[2]


def commit_of(kind: str, name: str, revision: str | None = None) -> str | None:
    """The commit of a model or data set: the kept one, else the newest of its revision.

    Without a network it is that of the client's cache. A revision that may move, or none, is
    reported in one line.

    Args:
        kind: :data:`DATASET` or :data:`MODEL`.
        name: its id, without revision.
        revision: branch, tag or commit; None for the default branch.

    Returns:
        The commit; None if the hub does not say it.

    Raises:
        UserError: it does not exist, may not be read, or neither the hub nor the cache can be.
    """
    key = _key(kind, name, revision)
    commit = _kept.commits.get(key) or _kept.known.get(key)
    if commit is None:
        commit = revision if COMMIT.fullmatch(revision or "") else _newest(kind, name, revision)
        if commit is None:
            return None
        if not (revision and commit.startswith(revision)) and (key, commit) not in _warned:
            _warned.add((key, commit))
            log.warning(
                "warning: the %s %s is not pinned; to pin its newest commit write %s@%s",
                WORDS[kind], name, name, commit,
            )  # fmt: skip
    note_commit(kind, name, revision, commit)
    return commit


def note_commit(kind: str, name: str, revision: str | None, commit: str) -> None:
    """Add a commit to those that are kept, unless it is there by the name of its branch."""
    if revision == commit and (f"{kind}s/{name}", commit) in (
        (key.partition("@")[0], value) for key, value in _kept.commits.items()
    ):
        return
    key = _key(kind, name, revision)
    if _kept.file is not None and _kept.commits.get(key) != commit:
        _kept.commits[key] = commit
        write_json(_kept.file, _kept.commits)


def _key(kind: str, name: str, revision: str | None) -> str:
    return f"{kind}s/{name}@{revision or 'main'}"


def _newest(kind: str, name: str, revision: str | None) -> str | None:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    from huggingface_hub.file_download import repo_folder_name

    with hub_errors(kind, name, revision), cache_if_unreachable():
        for file in FILES[kind]:
            try:
                path = hf_hub_download(name, file, repo_type=kind, revision=revision)
                return Path(path).parent.name
            except LocalEntryNotFoundError:  # no network, and this file is not in the cache
                folder = repo_folder_name(repo_id=name, repo_type=kind)
                branch = Path(constants.HF_HUB_CACHE, folder, "refs", revision or "main")
                if branch.is_file() and COMMIT.fullmatch(found := branch.read_text().strip()):
                    return found
                raise
            except EntryNotFoundError as error:
                headers = getattr(getattr(error, "response", None), "headers", {})
                if commit := headers.get("X-Repo-Commit"):
                    return str(commit)
    return None


def pinned_address(address: str) -> str:
    """An address with the commit of its repository, wherever in a chain it stands.

    Raises:
        UserError: the repository does not exist, or may not be read.
    """

    def pinned(found: re.Match[str]) -> str:
        kind = DATASET if found[1] else MODEL
        commit = commit_of(kind, found[2], found[3])
        return f"hf://{found[1]}{found[2]}@{commit}" if commit else found[0]

    return ADDRESS.sub(pinned, address)


@contextmanager
def hub_errors(
    kind: str, name: str, revision: str | None = None, file: str | None = None
) -> Iterator[None]:
    """Turn what the hub's clients raise into a line that says what to do; others pass.

    Raises:
        UserError: the hub, or the way to it, refuses.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        line = hub_problem(error, kind, name, revision, file)
        if line is None or environment_problem(error):
            raise
        raise UserError(line) from error


def hub_problem(
    error: BaseException, kind: str, name: str, revision: str | None = None, file: str | None = None
) -> str | None:
    """Explain an error of the hub's clients in one line; None for any other error.

    Args:
        error: any error, whose causes count too.
        kind: :data:`DATASET` or :data:`MODEL`.
        name: its id.
        revision: what was asked for.
        file: the file of it that was asked for, if one alone.
    """
    from huggingface_hub import constants, errors, get_token

    what = f"the {WORDS[kind]} {name!r}"
    page = f"{constants.ENDPOINT}/{'datasets/' if kind == DATASET else ''}{name}"
    for cause in causes_of(error):
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if isinstance(cause, errors.GatedRepoError):
            if get_token() is None:
                return (
                    f"{what} is gated: accept its licence at {page}, then set HF_TOKEN or run "
                    "hf auth login"
                )
            return (
                f"{what} is gated and your token has no access: accept its licence at {page} with "
                "the account of the token, whose permissions must include gated repositories; "
                "some owners answer after days"
            )
        if isinstance(cause, errors.RepositoryNotFoundError):
            more = "set HF_TOKEN or run hf auth login" if get_token() is None else (
                "use a token that may read it"
            )  # fmt: skip
            return f"{what} is not on the hub ({page}): check its name; if it is private, {more}"
        if isinstance(cause, errors.HFValidationError):
            return f"{name!r} is no {WORDS[kind]} of the hub (OWNER/NAME), and no folder here"
        if isinstance(cause, errors.RevisionNotFoundError):
            return (
                f"{what} has no revision {revision!r}: its branches, tags and commits are at "
                f"{page}/tree/main"
            )
        if status == 429:
            token = "" if get_token() else "; with a token (HF_TOKEN) it allows more"
            return (
                f"{what} cannot be read: the hub allows no more requests for now, also after its "
                f"client waited; run the same command again later{token}"
            )
        if status is not None and status >= 500:
            return (
                f"{what} cannot be read: the hub answers {status}, also after its client tried "
                "again; run the same command again later"
            )
        no_weights = "does not appear to have a file named model.safetensors" in str(cause)
        cache_alone = constants.HF_HUB_OFFLINE or is_unreachable()
        is_local = isinstance(cause, errors.LocalEntryNotFoundError) or (no_weights and cache_alone)
        if is_local or _is_connection(cause):
            why = f"the hub ({constants.ENDPOINT}) cannot be reached: connect"
            if constants.HF_HUB_OFFLINE and not is_unreachable():
                why = "HF_HUB_OFFLINE is set: unset it"
            other = "" if kind == DATASET else (
                " (without a network use 'embedded' or a folder that holds it as safetensors)"
            )  # fmt: skip
            part = "complete in " if no_weights else "in "
            return (
                f"{what} is not {part}the cache, and {why}, then run the same command again{other}"
            )
        if no_weights:
            return (
                f"{what} holds no weights as safetensors, and pickle files are not read since they "
                "may run code: name a revision that has them (a conversion may be in its pull "
                f"requests: {name}@refs/pr/N), or convert it into a folder"
            )
        if "scripts are no longer supported" in str(cause):
            return (
                f"{what} is a script, and no code of a data set is run: read its parquet files "
                f"with the revision refs/convert/parquet ({name}@refs/convert/parquet) if it has "
                "that, or name files"
            )
    if file is not None and isinstance(error, FileNotFoundError):
        return f"{what} has no file {file!r}: its files are at {page}/tree/{revision or 'main'}"
    return None


def _is_connection(error: BaseException) -> bool:
    """Whether an error is one of a network; the clients use several libraries."""
    client = type(error).__module__.partition(".")[0] in ("httpx2", "httpcore2", "aiohttp")
    words = ("Connect", "Timeout", "Network", "Protocol", "ReadError")
    name = type(error).__name__
    return isinstance(error, ConnectionError | TimeoutError) or (
        client and any(word in name for word in words)
    )
