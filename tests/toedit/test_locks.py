"""Locks of files."""

import threading
import time
from contextlib import suppress

from toedit.locks import is_locked, locked


def test_a_lock_that_its_holder_removes_is_taken_at_the_file_that_follows(tmp_path, capfd):
    path, order, waits = tmp_path / "work" / "lock", [], threading.Event()

    def second() -> None:
        waits.set()
        with locked(path, "it"):
            order.append(("second", is_locked(path)))

    with locked(path, "it"):
        thread = threading.Thread(target=second)
        thread.start()
        waits.wait()
        deadline, said = time.monotonic() + 60, ""
        while "waiting for it" not in said and time.monotonic() < deadline:
            time.sleep(0.2)  # what is written while it is read is lost
            said += capfd.readouterr().err
        assert "waiting for it" in said
        order.append("first")
        path.unlink()
        with suppress(OSError):  # the other may have made the file again
            path.parent.rmdir()
    thread.join()
    assert order == ["first", ("second", True)]
    assert not is_locked(path)
