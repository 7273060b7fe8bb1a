"""Object stores through fsspec: settings of their clients, and one line for what these raise."""

import logging
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from toedit.errors import UserError, causes_of, short

S3, GOOGLE = ("s3", "s3a"), ("gs", "gcs")

CONNECT, ANSWER, ATTEMPTS = 4, 9, 3
"""Seconds in which a server must accept a connection, and send a byte, and attempts at each."""

CREDENTIALS: dict[tuple[str, ...], str] = {
    S3: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (a public bucket: "
    "FSSPEC_S3_ANON=true)",
    GOOGLE: "run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
}
PACKAGES: dict[tuple[str, ...], str] = {
    S3: "pip install 'toedit[s3]'",
    GOOGLE: "pip install 'toedit[gcs]'",
}
REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
           "TokenRefreshRequired", "AuthorizationHeaderMalformed")  # fmt: skip
"""Codes of S3 for credentials that are wrong, whatever they may do."""


def scheme_of(address: str) -> str:
    """The protocol of the outermost file system of an address."""
    return address.rpartition("::")[2].partition("://")[0].lower()


def is_object_store(address: str) -> bool:
    """Whether an address lies in a store of objects, which has no folders to make."""
    return scheme_of(address) in (*S3, *GOOGLE)


def store_options(address: str) -> dict[str, Any]:
    """Options of the file system: patience of seconds in place of minutes, and no stale listings.

    The user's settings of fsspec (``FSSPEC_S3_*``, ``~/.config/fsspec``) go before ours.

    Raises:
        UserError: the address holds credentials.
    """
    if not is_object_store(address):
        return {}
    if "@" in urlsplit(address.rpartition("::")[2]).netloc:
        raise UserError(
            f"{address!r} holds credentials, which no address of a store may: "
            f"{_of_scheme(CREDENTIALS, address)}"
        )
    import fsspec
    from aiohttp import ClientTimeout

    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme_of(address) in S3:
        config = {
            "connect_timeout": CONNECT,
            "read_timeout": ANSWER,
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        }
        config |= fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
        options["config_kwargs"] = config
    elif "requests_timeout" not in fsspec.config.conf.get("gs", {}):
        patience = ClientTimeout(sock_connect=CONNECT, sock_read=1.5 * ANSWER)
        options["requests_timeout"] = patience
    return {scheme_of(address): options} if "::" in address else options


def limit_attempts(address: str) -> None:
    """Limit the attempts at a store, since those of its client and of fsspec multiply.

    After silence s3fs alone tries again, and gcsfs only what another attempt may mend.
    """
    import fsspec

    store = address.rpartition("::")[2]
    files, _ = fsspec.core.url_to_fs(store, **store_options(store))  # the same one in a chain
    if scheme_of(store) in S3:
        files.retries = ATTEMPTS
        files.s3.meta.events.register_first("needs-retry.s3", _no_retry, unique_id=__name__)
    else:
        _limit_gcsfs()


def _no_retry(caught_exception: Exception | None = None, **_: object) -> bool | None:
    """Answer botocore whether to try again: not after silence; None leaves it to botocore."""
    return False if type(caught_exception).__name__ == "ReadTimeoutError" else None


@cache
def _limit_gcsfs() -> None:
    from aiohttp import ClientConnectorError, ServerTimeoutError
    from gcsfs import retry

    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs errors that it raises, too
    usual = retry.is_retriable
    unreachable = (ClientConnectorError, ServerTimeoutError)
    retry.is_retriable = lambda error: not isinstance(error, unreachable) and usual(error)


def store_problem(error: BaseException, address: str, may: str = "read") -> str | None:
    """Explain an error of a store's client in one line; None for any other error.

    Args:
        error: any error, whose causes count too.
        address: of the file or folder.
        may: what the credentials must allow, for a store that refuses.
    """
    scheme = scheme_of(address)
    causes = list(causes_of(error))
    if any(isinstance(cause, ImportError) for cause in causes):
        return f"{scheme}:// needs a package: {_of_scheme(PACKAGES, address) or short(error)}"
    if not is_object_store(address):
        return "it does not exist" if isinstance(error, FileNotFoundError) else None
    codes = [code for cause in causes if (code := _code(cause))]
    names = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    set_them = _of_scheme(CREDENTIALS, address)
    if names & {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"}:
        return f"no credentials are found: {set_them}"
    if names & {"ProfileNotFound", "ConfigParseError", "SSOError", "UnauthorizedSSOTokenError"}:
        return f"the credentials cannot be used ({short(causes[-1])}): {set_them}"
    if names & {"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError",
                "ClientConnectorError", "ServerTimeoutError"}:  # fmt: skip
        endpoint = " and AWS_ENDPOINT_URL" if scheme in S3 else ""
        reason = short(causes[0]) or type(causes[0]).__name__
        return (
            f"the store cannot be reached or does not answer ({reason}): check the network"
            f"{endpoint}, then the same command continues"
        )
    if names & {"ConnectionClosedError", "IncompleteReadError",
                "ClientPayloadError", "ResponseStreamingError"}:  # fmt: skip
        return f"the connection broke ({short(causes[0])}): run the same command again"
    if any(code in REFUSED for code in codes):
        return f"the store refuses these credentials ({short(causes[0])}): {set_them}"
    refused = getattr(error, "code", None) in (401, 403) or str(error).startswith("Forbidden")
    if isinstance(error, PermissionError) or refused:  # the latter by Google
        return (
            f"the store refuses access ({short(error)}): the credentials must be right and allow "
            f"to {may} it; {set_them}"
        )
    if "NoSuchBucket" in codes:
        return "there is no such bucket: check its name, or make it"
    if isinstance(error, FileNotFoundError):
        return "it does not exist: check bucket and name"
    return None


def _of_scheme(values: dict[tuple[str, ...], str], address: str) -> str:
    return next((v for schemes, v in values.items() if scheme_of(address) in schemes), "")


def _code(error: BaseException) -> str | None:
    """The code in an answer of S3, if the error is one."""
    response = getattr(error, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None
