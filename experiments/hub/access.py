"""Check whether names can be read, before anything is downloaded.

The hub is asked for information about each repository and whether the user has access to it, all
at the same time and for :data:`SECONDS` at most. Where it does not answer, or with
``HF_HUB_OFFLINE=1``, the caches count.
"""

import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from huggingface_hub import HfApi, constants, get_token, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from experiments.hub.names import MODEL, URL, Name
from toedit.errors import UserError

log = logging.getLogger(__name__)

SECONDS = 5.0
"""To wait for all answers."""

READABLE, CACHED = "readable", "cached"
NO_TOKEN = "gated, and no token is set"
NO_ACCESS = "gated, and the token has no access"
BAD_TOKEN = "the token is refused"
NOT_FOUND = "not found, or private"
NO_REVISION = "revision not found"
UNREACHABLE = "host not reachable"
BUSY = "host busy"
NOT_CACHED = "not in the cache"

LOGIN = (
    "To log in: hf auth login, or HF_TOKEN=TOKEN in the environment; tokens (read access): "
    "https://huggingface.co/settings/tokens"
)


@dataclass(frozen=True)
class Access:
    """Whether a name can be read.

    Attributes:
        name: the name.
        status: one of the constants of this module.
        cached: whether a cache holds it; None if that was not looked up.
    """

    name: Name
    status: str
    cached: bool | None = None

    @property
    def refused(self) -> bool:
        """Whether reading it is certain to fail."""
        if self.status == UNREACHABLE:
            # lm-eval may have cached the items of an address.
            return not (self.cached or (self.name.kind == URL and is_prepared(self.name)))
        return self.status not in (READABLE, CACHED, BUSY)

    @property
    def page(self) -> str:
        """The page of the repository, where its licence is accepted."""
        if self.name.kind == URL:
            return self.name.name
        folder = "" if self.name.kind == MODEL else "datasets/"
        return f"{constants.ENDPOINT}/{folder}{self.name.name}"

    def __str__(self) -> str:
        """Return a line that says what is wrong and what to do."""
        name, line = self.name, f"{self.name.name} ({self.name.field}): {self.status}"
        if self.status == NO_REVISION:
            return f"{line}: {name.revision}; its commits: {self.page}/commits/main"
        if self.status in (NO_TOKEN, NO_ACCESS):
            licence = f"the licence ({name.licence})" if name.licence else "the conditions"
            return f"{line}; accept {licence}: {self.page}"
        if self.status == UNREACHABLE and name.kind != URL:
            return f"{line}: {constants.ENDPOINT}"
        if self.status == NOT_CACHED:
            return f"{line}, and HF_HUB_OFFLINE forbids to download it"
        return line if name.kind == URL else f"{line}: {self.page}"


def require_access(names: Sequence[Name], experiment: str) -> None:
    """Refuse to start an experiment that cannot read what it names.

    A name that is cached may be out of reach; a warning says so.

    Raises:
        UserError: names cannot be read; its details have a line for each.
    """
    found = accesses(names)
    refused = [access for access in found if access.refused]
    if refused:
        raise UserError(
            f"{experiment} needs {len(names)} names from elsewhere, and {len(refused)} cannot be "
            "read; nothing was downloaded",
            details=[*map(str, refused), *advice(refused)],
        )
    for access in found:
        if access.status in (UNREACHABLE, BUSY):
            tail = "; the cache is used" if access.cached else ""
            log.warning("warning: %s%s", access, tail)


def advice(found: Sequence[Access]) -> list[str]:
    """How to log in, if that is what some names lack."""
    login = {NO_TOKEN, BAD_TOKEN, NOT_FOUND} if get_token() is None else {BAD_TOKEN}
    return [LOGIN] if login & {access.status for access in found} else []


def accesses(names: Sequence[Name]) -> list[Access]:
    """Check names at the same time, for :data:`SECONDS` at most."""
    found: dict[Name, str] = {}
    # Daemons, since a server that never answers must not keep the process alive.
    threads = [Thread(target=_check, args=(name, found), daemon=True) for name in names]
    deadline = time.monotonic() + SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    answers = {status for name, status in list(found.items()) if name.kind != URL}
    late = BUSY if answers - {UNREACHABLE} else UNREACHABLE
    statuses = {name: found.get(name, late) for name in names}
    return [
        Access(name, status, is_cached(name) if status in (UNREACHABLE, BUSY) else None)
        for name, status in statuses.items()
    ]


def _check(name: Name, found: dict[Name, str]) -> None:
    if name.kind == URL:
        found[name] = _at_address(name.name)
    elif not constants.HF_HUB_OFFLINE:
        found[name] = _on_hub(name)
    else:
        found[name] = CACHED if is_cached(name) else NOT_CACHED


def _on_hub(name: Name) -> str:
    """Status of a repository; information is open to everybody even where files are gated."""
    hub, token = HfApi(), get_token()
    information: Callable[..., object] = hub.model_info if name.kind == MODEL else hub.dataset_info
    try:
        information(name.name, revision=name.revision, timeout=2 * SECONDS)
        hub.auth_check(name.name, repo_type=name.kind)
    except GatedRepoError:
        return NO_ACCESS if token else NO_TOKEN
    except RevisionNotFoundError:
        return NO_REVISION
    except (RepositoryNotFoundError, HFValidationError):
        return NOT_FOUND
    except HfHubHTTPError as error:
        code = error.response.status_code
        if code in (401, 403) and token:
            return BAD_TOKEN
        return READABLE if code == 404 else BUSY  # a mirror that does not know the second question
    except Exception:  # of the network: libraries below have their own
        return UNREACHABLE
    return READABLE


def _at_address(address: str) -> str:
    """Status of a file elsewhere, or of the host of a folder (``…/``)."""
    request = urllib.request.Request(address, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=2 * SECONDS).close()
    except urllib.error.HTTPError as error:
        missing = error.code in (404, 410) and not address.endswith("/")
        return NOT_FOUND if missing else BUSY if error.code >= 500 else READABLE
    except (OSError, ValueError):
        return UNREACHABLE
    return READABLE


def is_prepared(name: Name) -> bool:
    """Whether ``datasets`` reads a name, which caches what it has prepared."""
    return name.field.startswith(("corpus.hub", "eval.suite"))


def is_cached(name: Name) -> bool:
    """Whether a cache holds what is read by a name; files that are streamed are in none."""
    if name.kind == MODEL:
        return any(
            isinstance(try_to_load_from_cache(name.name, file, revision=name.revision), str)
            for file in ("config.json", "tokenizer_config.json", "tokenizer.json")
        )
    if name.kind == URL or not is_prepared(name):
        return False
    from datasets import config
    from datasets.naming import camelcase_to_snakecase

    *owner, last = name.name.split("/")
    folder = Path(config.HF_DATASETS_CACHE, "___".join([*owner, camelcase_to_snakecase(last)]))
    return any(path.is_dir() for path in folder.glob("*/*/*"))
