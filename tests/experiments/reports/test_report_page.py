"""The report: one file, every number traced, in a browser without network."""

import html
import json
import re
from pathlib import Path

import pytest
from browser import CHROMIUM, DARK, axe, hashed, probe, serious_findings
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
    (panel,) = run.rglob("overview_*.html")
    text = panel.read_text()
    assert text.count("<svg") == len(read_claims()[0])
    assert "<script" not in text and "href" not in text
    (edits,) = run.rglob("edits_*.html")
    shown = f"…a <del>{html.escape(HOSTILE)}</del><ins>blue</ins> car…"
    assert shown in edits.read_text() and HOSTILE not in edits.read_text()


def test_each_claim_has_a_section_and_each_block_of_a_table_one_place(page):
    text = page.read_text()
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    for claim in read_claims()[0]:
        assert (f"claim-{claim.id}" in ids) == (claim.of is None)
    for target in re.findall(r'href="#([^"]*)"', text):
        assert target in ids, target
    blocks = [f"table{n}-{block.name}" for n, table in TABLES.items() for block in table.blocks]
    assert set(blocks) <= set(ids)
    assert "<details open" not in text
    overview = text.partition('id="overview"')[2].partition("</section>")[0]
    assert overview.count("<b>") == 5  # headline numbers
    assert "printed" in overview and "×2.19" in overview
    assert "style=" not in text.partition("<body>")[2]  # which the policy would refuse


PROBE = """
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
const details = document.getElementById("table3-biomedicine-embedded");
location.hash = details.id;
dispatchEvent(new HashChangeEvent("hashchange"));
const opened = details.open;
const table = details.querySelector("table");
const sort = table.querySelectorAll("button.sort")[1];
const column = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[1].dataset.value));
const orders = [];
sort.focus(); sort.click(); orders.push(column()); sort.click(); orders.push(column());
const state = table.querySelector("th[aria-sort]").getAttribute("aria-sort");
const lines = [...document.querySelectorAll(".forest li")];
const shown = () => lines.filter((row) => !row.hidden).length;
const all = shown();
const toggle = document.querySelector(".toggle.missing");
toggle.click();
const fewer = shown(), pressed = toggle.getAttribute("aria-pressed");
toggle.click();
const input = document.querySelector("#audit .filter input");
const audited = input.closest("details").querySelector("tbody");
input.value = "no such row"; input.dispatchEvent(new Event("input", {bubbles: true}));
const none = [...audited.rows].filter((row) => !row.hidden).length;
table.querySelector("button.cell").click();
const dialog = document.querySelector("dialog");
report({
  errors, opened, orders, state, all, fewer, pressed, again: shown(), none,
  missing: document.querySelectorAll(".forest li[data-group=missing]").length,
  open: dialog.open, focus: document.activeElement.textContent,
  text: dialog.querySelector("pre").textContent.slice(0, 80),
});
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_report_in_a_browser(page, tmp_path):
    outcome = probe(page, tmp_path, PROBE)
    assert outcome["errors"] == []
    assert outcome["opened"]
    up, down = outcome["orders"]
    assert len(up) == 3
    assert up == sorted(up)
    assert down == up[::-1]
    assert outcome["state"] == "descending"
    assert outcome["open"]
    assert outcome["text"].startswith("3.biomedicine-embedded.")
    assert outcome["focus"] == "Close"
    assert outcome["pressed"] == "false"
    assert outcome["fewer"] == outcome["all"] - outcome["missing"] < outcome["all"]
    assert outcome["again"] == outcome["all"]
    assert outcome["none"] == 0


WIDE = """
const wide = [...document.querySelectorAll("body *")].filter((own) => !own.closest(".scroll, pre")
  && own.getBoundingClientRect().right > frame + 1 && own.getClientRects().length);
report(wide.slice(0, 5).map((own) => own.outerHTML.slice(0, 99)));
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_nothing_is_cut_off_on_a_phone_and_the_page_opens_at_once(page, tmp_path):
    """The body is as wide as a phone; a window of Chromium cannot be."""
    narrow = tmp_path / "narrow.html"
    style = re.search(r"<style>(.*?)</style>", page.read_text(), re.DOTALL)[1]
    phone = style.replace("(max-width: 54rem)", "all") + "html { width: 360px; }"
    narrow.write_text(page.read_text().replace(style, phone).replace(hashed(style), hashed(phone)))
    opened = "for (const own of document.querySelectorAll('details')) own.open = true;"
    frame = "const frame = document.documentElement.getBoundingClientRect().right;"
    assert probe(narrow, tmp_path, f"{opened}{frame}{WIDE}") == []
    timing = "addEventListener('load', () => report(performance.now()));"
    assert probe(page, tmp_path, timing) < 1000


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_axe_has_no_serious_finding(page, tmp_path):
    source = axe(tmp_path / "npm")
    assert serious_findings(page, tmp_path, source, "") == []
    opened = "for (const own of document.querySelectorAll('details')) own.open = true;"
    assert serious_findings(page, tmp_path, source, opened, DARK) == []
