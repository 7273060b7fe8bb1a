"""Remove secrets and home folders from what is written: records, cards, statistics, logs.

:func:`without_credentials` depends on the text alone, so identities use it: a link signed anew
names the same file. :func:`published` is for all that is written besides.
"""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

REMOVED = "***"

_START, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
_KEYS = "|".join(
    (
        r"hf_(?:[A-Za-z0-9]{30,}|(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{16,})",  # Hugging Face
        r"sk-(?:[a-z]+[0-9]*-)*(?:[A-Za-z0-9_]{30,}|(?=[a-z_]*[A-Z0-9])[A-Za-z0-9_]{16,})[\w-]*",
        r"wandb_v[0-9]+_\w{16,}",
        r"gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|glpat-[\w-]{16,}",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}",
        r"AIza[\w-]{35}|ya29\.[\w.-]{16,}",  # Google
        r"xox[abeprs]-[\w-]{10,}",  # Slack
        r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+",  # JSON web token
    )
)
_UNMISTAKABLE = [
    (re.compile(rf"{_START}(?:{_KEYS}){_END}"), REMOVED),
    (re.compile(r"((?:https?|ftps?|sftp|ssh|git|webdavs?)://)[^/\s?#]*@"), rf"\g<1>{REMOVED}@"),
    (re.compile(r"(://)[^/\s?#:@]*:[^/\s?#]*@"), rf"\g<1>{REMOVED}@"),
    (
        re.compile(
            r"([?&;](?:x-(?:amz|goog|ms)-[\w-]+|awsaccesskeyid|googleaccessid|key-pair-id|policy|"
            r"signature|sig|(?:access_?|auth_?|id_?|refresh_?)?token|api_?key|password|"
            r"client_?secret|secret)=)[^&;#\s\"'<>]+",
            re.IGNORECASE,
        ),
        rf"\g<1>{REMOVED}",
    ),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL),
        REMOVED,
    ),
]
_NAMED = r"(?<![A-Za-z0-9])((?:[A-Za-z0-9]+[_-])*(?:%s)\s*[=:]\s*)%s[\w+/.~!$%%^&*-]{6,}"
_LIKELY = [
    re.compile(_NAMED % (r"api_?key|secret(?:_?key)?|passwords?|passwd", ""), re.IGNORECASE),
    re.compile(_NAMED % (r"token|access_?key", r"(?=\S*[0-9])"), re.IGNORECASE),
    re.compile(r"\b((?:bearer|password is)\s+)[\w+/.~!$%^&*=-]{6,}", re.IGNORECASE),
]
_HEX = re.compile(
    r"((?:commit|revision|rev|sha1?|ref)\w*\W{1,4}|[@/])?(?<![A-Za-z0-9])[0-9a-f]{40}"
    r"(?![A-Za-z0-9]|\.[a-z])",
    re.IGNORECASE,
)
"""A key of wandb, or a commit or the name of a file, which the text around it tells."""

_COMMIT = re.compile(r"commit|revision|sha|hash", re.IGNORECASE)
_SECRET = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)$", re.I)
_OTHERS_HOME = re.compile(r"(?<![\w.~-])(/home|/Users)/(?!\*)[^/\s\"',:;)]+")


def without_credentials(text: str) -> str:
    """The text without access tokens, and addresses without passwords and signatures."""
    for pattern, replacement in _UNMISTAKABLE:
        text = pattern.sub(replacement, text)
    return text


def without_secrets(text: str, field: str = "") -> str:
    """The text without credentials, keys of wandb, and values of variables like ``MY_API_KEY``.

    Args:
        text: any text.
        field: name of the field that holds it; 40 hexadecimal digits in a revision are a commit.
    """
    for name, value in os.environ.items():
        if len(value) >= 8 and not value.startswith(("/", ".", "~")) and _SECRET.search(name):
            text = text.replace(value, REMOVED)
    text = without_credentials(text)
    for pattern in _LIKELY:
        text = pattern.sub(rf"\g<1>{REMOVED}", text)
    if _COMMIT.search(field):
        return text
    return _HEX.sub(lambda found: found.group() if found.group(1) else REMOVED, text)


def published(value: Any, field: str = "", home: str = "~") -> Any:
    """Text, or the JSON value that holds it, without secrets and without home folders.

    The current folder is written as ``.``.

    Args:
        value: a text, or nested dictionaries and lists; other values come back as they are.
        field: see :func:`without_secrets`.
        home: how the home folder is written.
    """
    if isinstance(value, dict):
        return {key: published(item, str(key), home) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [published(item, field, home) for item in value]
    if not isinstance(value, str):
        return value
    text = _beginning(os.getcwd()).sub(".", without_secrets(value, field))
    homes = {str(Path.home()), os.path.realpath(Path.home())}
    for folder in sorted(homes, key=len, reverse=True):
        text = _beginning(folder).sub(lambda _: home, text)
    return _OTHERS_HOME.sub(rf"\g<1>/{REMOVED}", text)


@lru_cache(maxsize=32)
def _beginning(folder: str) -> re.Pattern[str]:
    """A folder at the beginning of paths; nothing for the root of the file system."""
    folder = folder.rstrip("/")
    return re.compile(rf"(?<![\w.~-]){re.escape(folder)}(?![\w.-])" if folder else r"(?!)")
