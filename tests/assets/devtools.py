"""A page in headless Chromium that is looked at and typed into, over the DevTools pipe."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browser import CHROMIUM

KEYS = {"Escape": 27, "Tab": 9, "Enter": 13}


class Session:
    """An open page.

    Attributes:
        problems: errors of the page, and what it wrote to its console.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._in = os.fdopen(reading, "rb")
        self._out = os.fdopen(writing, "wb", buffering=0)
        self._number, self._session, self._waiting = 0, {}, b""
        self.problems: list[str] = []
        self.events: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command of the protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        self._out.write(json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            pass
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            piece = self._in.read1(1 << 16)
            assert piece, "the browser has gone"
            self._waiting += piece
        text, _, self._waiting = self._waiting.partition(b"\0")
        message = json.loads(text)
        name = message.get("method", "")
        self.events.append(name)
        if name in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.problems.append(text.decode())
        return message

    def open(self, address: str, width: int, height: int, dark: bool) -> None:
        """Open a page and wait until it has loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=address)
        while "Page.loadEventFired" not in self.events:
            self._read()

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)  # fmt: skip
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, *keys: str) -> None:
        """Type keys one after the other."""
        for key in keys:
            code = KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
            text = {"text": key} if len(key) == 1 else {}
            down = {"key": key, "windowsVirtualKeyCode": code, **text}
            self.call("Input.dispatchKeyEvent", type="keyDown", **down)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)


@contextmanager
def opened(
    page: Path, profile: Path, anchor: str = "", width: int = 1200, dark: bool = False
) -> Iterator[Session]:
    """A page that is open in a browser of its own; errors and console output fail at the end."""
    assert CHROMIUM is not None
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()

    def descriptors() -> None:
        # The pipe's ends may be 3 and 4 themselves, the wrong way round.
        first, second = os.dup(to_browser), os.dup(from_browser)
        os.dup2(first, 3)
        os.dup2(second, 4)

    browser = subprocess.Popen(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={profile}", "--remote-debugging-pipe"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False,
        preexec_fn=descriptors,
    )  # fmt: skip
    os.close(to_browser)
    os.close(from_browser)
    session = Session(to_us, from_us)
    try:
        session.open(f"{page.absolute().as_uri()}{anchor}", width, 800, dark)
        yield session
        assert not session.problems
    finally:
        browser.terminate()
        browser.wait(30)
