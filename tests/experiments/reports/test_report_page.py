"""The report: one file, every number traced, in a browser without network."""

import base64
import hashlib
import html
import json
import re
from pathlib import Path

import pytest
from browser import CHROMIUM, rendered
from written import three_arms

from experiments import tables as command
from experiments.analysis.claims import read_claims
from experiments.analysis.levels import over_seeds
from experiments.reports import claims
from experiments.reports.tables.catalogue import TABLES

HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture
def page(tmp_path, capsys) -> Path:
    store = tmp_path / "store"
    three_arms(store, (0, 1, 2))
    folder = next((store / "reports").iterdir())
    edit = {"id": "d", "before": "a ", "old": HOSTILE, "new": "blue", "after": " car",
            "probability": 0.99, "drawn_probability": None}  # fmt: skip
    estimate = over_seeds([0.2, 0.5, 0.9], "bits per byte").to_json()
    control = {"minus_source": estimate, "edited_minus": None}
    rows = [{"metric": "held-out", "digits": 4, "controls": {"random_edit": control}}]
    values = {"plan": "train_on_edits", "rows": rows, "ratios": {}, "seeds": [0, 1, 2],
              "analysis": {}}  # fmt: skip
    (folder / "results.json").write_text(json.dumps(values))
    (folder / "examples.json").write_text(json.dumps({"edited": [edit]}))
    arguments = ["--store", str(store), "--out", str(tmp_path), "--tracker", "none"]
    command.main(["report", *arguments])
    assert "report.html" in capsys.readouterr().out
    return tmp_path / "report.html"


def test_the_report_is_one_small_file_without_addresses(page):
    text = page.read_text()
    assert len(text) < 5e6
    assert not re.search(r"(?:src|href)=.?https?://|@import|url\(", text)
    assert HOSTILE not in text
    assert html.escape(HOSTILE, quote=False) in text or "&lt;/script&gt;" in text
    for part in ("overview", "tables", "figures", "edits", "controls", "ledger", "audit"):
        assert f'<section id="{part}"' in text
    assert "random_edit" in text
    assert "36.558" in text  # the audit
    assert "unsafe" not in text
    for name in ("script", "style"):
        content = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)[1]
        assert f"{name}-src {hashed(content)}" in text


def hashed(content: str) -> str:
    """What a content security policy calls an inline element."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def test_every_button_of_a_cell_has_a_trace(page):
    text = page.read_text()
    traces = json.loads(re.search(r'id="traces">(.*?)</script>', text, re.DOTALL)[1])
    buttons = [html.unescape(own) for own in re.findall(r'data-cell="(.*?)"', text)]
    assert len(buttons) > 10
    assert set(buttons) <= set(traces["cells"])
    for name in buttons:
        summary, results = traces["cells"][name]
        assert summary.startswith(name)
        assert results
        assert all("commit c0ffee" in traces["results"][folder] for folder in results)


def test_the_overview_is_logged_to_wandb(page, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    out = tmp_path / "out"
    command.main(["report", "--store", str(tmp_path / "store"), "--out", str(out)])
    (run,) = (out / "wandb").rglob("offline-run-*")
    tables = list(run.rglob("*.table.json"))
    assert len(tables) == len(TABLES) + 1
    claimed = next(json.loads(p.read_text()) for p in tables if "claims" in p.name)
    assert claimed["columns"] == list(claims.FIELDS)
    assert len(claimed["data"]) == len(read_claims()[0])


PROBE = """<pre id="outcome"></pre><script>
{
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
const table = document.querySelector("#table3 details[open] table");
const sort = table.querySelectorAll("button.sort")[1];
const column = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[1].dataset.value));
const orders = [];
sort.focus(); sort.click(); orders.push(column()); sort.click(); orders.push(column());
const state = table.querySelector("th[aria-sort]").getAttribute("aria-sort");
table.querySelector("button.cell").click();
const dialog = document.querySelector("dialog");
document.getElementById("outcome").textContent = JSON.stringify({
  errors, orders, state, open: dialog.open, focus: document.activeElement.textContent,
  text: dialog.querySelector("pre").textContent.slice(0, 80),
});
}
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_report_in_a_browser(page, tmp_path):
    probed = tmp_path / "probed.html"
    allowed = f"script-src {hashed(PROBE.partition('<script>')[2].removesuffix('</script>'))} "
    text = page.read_text().replace("script-src ", allowed)
    probed.write_text(text.replace("</body>", f"{PROBE}</body>"))
    dom = rendered(probed, tmp_path / "profile")
    outcome = json.loads(html.unescape(re.search(r'id="outcome">(.*?)</pre>', dom)[1]))
    assert outcome["errors"] == []
    up, down = outcome["orders"]
    assert len(up) == 3
    assert up == sorted(up)
    assert down == up[::-1]
    assert outcome["state"] == "descending"
    assert outcome["open"]
    assert outcome["text"].startswith("3.biomedicine-embedded.")
    assert outcome["focus"] == "Close"
