"""Locks of files."""

import threading

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
        while "waiting for it" not in capfd.readouterr().err:
            pass
        order.append("first")
        path.unlink()
        path.parent.rmdir()
    thread.join()
    assert order == ["first", ("second", True)]
    assert not is_locked(path)
