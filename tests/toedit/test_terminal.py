"""Lines, progress and the log file of a command."""

import logging
import os
import subprocess
import sys
import time

import pytest

from toedit import progress, terminal
from toedit.errors import UserError


@pytest.fixture(autouse=True)
def level():
    """Restore how much is shown."""
    yield
    terminal.set_level(terminal.NORMAL)


def test_libraries_go_to_the_log_and_notes_are_shown(tmp_path, capfd):
    log = tmp_path / "folder" / "run.log"
    with terminal.captured(log):
        print("from python")
        print("from python's errors", file=sys.stderr)
        os.write(2, b"from native code\n")
        subprocess.run([sys.executable, "-c", "print('from a process')"], check=True)
        terminal.note("a line of ours")
    shown = capfd.readouterr()
    assert shown.out == "" and shown.err == "a line of ours\n"
    written = log.read_text().splitlines()
    assert sorted(written) == sorted(
        ["from python", "from python's errors", "from native code", "from a process",
         "a line of ours"]
    )  # fmt: skip
    print("after")
    assert capfd.readouterr().out == "after\n"


def test_an_error_restores_the_outputs(tmp_path, capfd):
    with pytest.raises(ValueError), terminal.captured(tmp_path / "run.log"):
        raise ValueError
    os.write(1, b"out\n")
    os.write(2, b"err\n")
    assert capfd.readouterr() == ("out\n", "err\n")
    with terminal.captured(tmp_path / "run.log"):
        print("more")
    assert (tmp_path / "run.log").read_text() == "more\n"


def test_secrets_of_libraries_do_not_stay_in_the_log(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "sesame-sesame-42")
    (tmp_path / "run.log").write_text("before\n")
    with terminal.captured(tmp_path / "run.log"):
        print("the key is sesame-sesame-42, and more")
    text = (tmp_path / "run.log").read_text()
    assert "sesame" not in text and text.startswith("before\n") and text.endswith("and more\n")


@pytest.mark.parametrize("odd", ["link", "pipe"])
def test_a_log_that_is_no_file_is_refused(tmp_path, odd):
    path = tmp_path / "run.log"
    if odd == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path)
    with pytest.raises(UserError, match="log file"), terminal.captured(path):
        print("text")
    assert not (tmp_path / "elsewhere").exists()


def test_quiet_shows_warnings_alone_and_the_log_has_all(tmp_path, capfd):
    terminal.set_level(terminal.QUIET)
    log = logging.getLogger("experiments.some_module")
    handler = terminal.Handler()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        with terminal.captured(tmp_path / "run.log"):
            log.info("an event")
            log.warning("a warning")
            terminal.show("a result")
    finally:
        log.removeHandler(handler)
    assert capfd.readouterr() == ("", "a warning\n")
    assert (tmp_path / "run.log").read_text() == "an event\na warning\n"


def test_verbose_shows_what_the_log_has(tmp_path, capfd):
    terminal.set_level(terminal.VERBOSE)
    with terminal.captured(tmp_path / "run.log"):
        os.write(2, b"from native code\n")
        terminal.note("ours")
    shown = capfd.readouterr()
    assert shown.out + shown.err == (tmp_path / "run.log").read_text() == "from native code\nours\n"


def test_without_a_terminal_progress_is_a_plain_line_now_and_then(monkeypatch, capfd):
    monkeypatch.setattr(progress, "INTERVAL", 0.02)
    with progress.progress(8, "count", "items") as work:
        for _ in range(4):
            work.advance()
        while "count" not in (text := capfd.readouterr().err):
            pass
    line = text.splitlines()[0]
    assert (
        line.startswith("count  50 %  4 of 8 items  ")
        and " items/s  " in line
        and line.endswith(" left")
    )


def test_work_inside_work_counts_on_its_line():
    with progress.working("outer", estimate=100, later=50) as outer:
        with progress.progress(4, "inner", "items") as inner:
            inner.advance(3)
        assert inner is outer and outer.share == 0.75
    with progress.working("next") as work:
        assert work is not outer and work.share is None and work.left is None


def test_time_left_comes_from_the_count_else_from_the_estimate():
    work = progress.Work("a", estimate=100.0, later=200.0)
    assert 99 < work.left <= 100 and work.share < 0.01
    work.count(10, "items", done=4)
    work._counted, work.done = (4, time.monotonic() - 80), 8
    assert work.left == pytest.approx(40, abs=1) and work.share == 0.8
    assert work.texts() == ["80 %", "0.05 items/s", "0:40,", "run 4:00 left"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0:00"), (65, "1:05"), (3599, "59:59"), (7860, "2 h 11 min"), (200_000, "2 d 7 h")],
)
def test_durations_have_two_units(seconds, text):
    assert progress.clock(seconds) == text


def test_the_level_is_taken_from_the_words():
    assert terminal.without_options(["a", "--quiet", "b=--quiet"]) == ["a", "b=--quiet"]
    assert terminal.is_quiet()
    assert terminal.without_options(["a"]) == ["a"] and not terminal.is_quiet()
