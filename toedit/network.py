"""Whether the hub answers: if not, its clients read their cache at once instead of trying again."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PROBE_SECONDS, KNOWN_SECONDS = 4.0, 60.0
"""How long the hub has to answer at all, and how long that it did, or did not, is known."""

_probed: tuple[float, bool] | None = None
"""When the hub was last probed, and whether it answered."""


@contextmanager
def cache_if_unreachable() -> Iterator[None]:
    """Make the hub's clients read their cache alone in the block if the hub does not answer.

    Else they would try again for a minute, once for every file.
    """
    global _probed
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        yield
        return
    if _probed is None or time.monotonic() - _probed[0] > KNOWN_SECONDS:
        _probed = (time.monotonic(), _answers(constants.ENDPOINT))
    constants.HF_HUB_OFFLINE = not _probed[1]
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = False


def is_unreachable() -> bool:
    """Whether the hub did not answer when it was last probed."""
    return _probed is not None and not _probed[1]


def _answers(endpoint: str) -> bool:
    """Whether a server answers anything within :data:`PROBE_SECONDS`, the look-up of its address
    included, for which clients have no limit."""
    from huggingface_hub import get_session

    answered = threading.Event()

    def probe() -> None:
        with suppress(Exception):
            get_session().head(endpoint, timeout=PROBE_SECONDS)
            answered.set()

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return answered.is_set()
