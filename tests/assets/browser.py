"""Pages in headless Chromium, without a network."""

import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def rendered(page: Path, profile: Path, anchor: str = "") -> str:
    """The page as a browser leaves it; what it says on its console is an error."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", f"--user-data-dir={profile}", "--window-size=1200,900",
         "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom",
         f"{page.as_uri()}{anchor}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-1000:]
    assert "CONSOLE" not in done.stderr, done.stderr[-2000:]
    return done.stdout
