"""Pages in headless Chromium, without a network."""

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


DARK = "--blink-settings=preferredColorScheme=0"


def rendered(page: Path, profile: Path, anchor: str = "", *flags: str) -> str:
    """The page as a browser leaves it; what it says on its console is an error."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", f"--user-data-dir={profile}", "--window-size=1200,900",
         "--enable-logging=stderr", "--virtual-time-budget=5000", *flags, "--dump-dom",
         f"{page.as_uri()}{anchor}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-1000:]
    assert "CONSOLE" not in done.stderr, done.stderr[-2000:]
    return done.stdout


def hashed(content: str) -> str:
    """What a content security policy calls an inline element."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def probe(page: Path, folder: Path, script: str, *flags: str) -> Any:
    """The JSON that a script gives to its function ``report``, added to a page and its policy."""
    script = (
        "const report = (value) => { document.getElementById('outcome').textContent = "
        f"JSON.stringify(value); }};\n{{\n{script}\n}}"
    )
    text = page.read_text().replace("script-src ", f"script-src {hashed(script)} ", 1)
    head, tail = text.rsplit("</body>", 1)
    probed = folder / "probed.html"
    probed.write_text(f'{head}<pre id="outcome"></pre><script>{script}</script></body>{tail}')
    dom = rendered(probed, folder / "profile", "", *flags)
    found = re.search(r'id="outcome">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None and found[1], "the script reported nothing"
    return json.loads(html.unescape(found[1]))


def axe(folder: Path) -> str:
    """The source of axe-core from npm; what keeps it from being installed skips the test."""
    import pytest

    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, so axe-core cannot be")
    done = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder),
         "axe-core@4"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"axe-core cannot be installed: {done.stderr.strip()[-200:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


AXE = """
(async () => {
  %s
  const found = await axe.run({resultTypes: ["violations"]});
  report(found.violations.filter((own) => ["serious", "critical"].includes(own.impact))
    .map((own) => [own.id, own.nodes.slice(0, 3).map((node) => node.html.slice(0, 200))]));
})();
"""


def serious_findings(page: Path, folder: Path, source: str, before: str, *flags: str) -> Any:
    """Serious and critical findings of axe-core, after a script has run."""
    return probe(page, folder, source.replace("</script", "<\\/script") + AXE % before, *flags)
