"""The audit finds what is in the printed numbers, and stops finding it where they change."""

import shutil

import pytest

from experiments.reports import audit as auditing
from experiments.reports import printed
from experiments.reports.audit.arithmetic import AGAINST, FOR, possible


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A copy of the printed tables that a test may change; ``published(file, old, new)`` does."""
    folder = tmp_path / "published"
    shutil.copytree(printed.PUBLISHED, folder)
    monkeypatch.setattr(printed, "PUBLISHED", folder)
    caches = (
        printed.read, printed.rows, printed.items, printed.is_accuracy, printed.tables,
    )  # fmt: skip

    def change(name: str, old: str, new: str) -> None:
        text = (folder / f"{name}.csv").read_text()
        assert text.count(old) == 1, (name, old)
        (folder / f"{name}.csv").write_text(text.replace(old, new))
        for cached in caches:
            cached.cache_clear()

    yield change
    for cached in caches:
        cached.cache_clear()


def found(kind: str, table: str | None = None) -> list[str]:
    return [
        f"{f.text} | {f.arithmetic}"
        for f in auditing.audit()
        if f.kind == kind and table in (None, f.table)
    ]


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("average", ["20.99", "20.43"]),
        ("average", ["51.93", "50.927"]),
        ("average", ["36.63", "36.558", "MQP 52.59", "323/610 = 52.95"]),
        ("average", ["46.13", "47.995"]),
        ("average", ["5 of 5 are right"]),
        ("standard error", ["LogiQA", "1.099", "1.010"]),
        ("standard error", ["PIQA", "1.126", "1.156"]),
        ("standard error", ["Wino.", "1.408", "1.404"]),
        ("items", ["LogiQA", "LogiQA 2.0"]),
        ("count", ["OLMo-1B CPT, GPQA: 24.03"]),
        ("exchange", ["OLMo-1B base", "119/448", "517847ba"]),
        ("exchange", ["GPQA 27.23 → 28.12", "MMLU 24.03 → 23.63", "neither significant"]),
        ("tokens", ["PPL Filter (1M)", "13.58B", "13.68B"]),
        ("tokens", ["Density Sampling (1M)", "8.4B", "8.9B"]),
        ("tokens", ["42B", "50 billion"]),
        ("share", ["factor of 0.941", "2.1"]),
        ("share", ["3 of 3 percentages"]),
        ("versions", ["p <= 0.001", "the best of all", "39.16"]),
        ("derived", ["1,119,960,605"]),
        ("significance", ["0 of the gains", "61 cells"]),
        ("significance", ["12 of 12 averages rise", "1 by more than chance", "+2.05, z +2.05"]),
        ("significance", ["MMLU: 27.23 → 23.63", "z -6.93"]),
        ("significance", ["HeadLine: 85.68 → 83.83", "z -5.22"]),
        ("significance", ["43 rise and 16 fall", "+0.69 points, z 2.46"]),
        ("printed twice", ["40.89 and 38.69", "2.20 apart", "2.06"]),
        ("monotone", ["ArXiv 22.26, 21.86", "Math 10.84, 11.05, 10.84"]),
        ("monotone", ["PubMed-C 15.49, 15.38"]),
        ("monotone", ["Wikitext-103 187.36, 185.5", "M2D2-Wiki", "M2D2-S2ORC"]),
        ("schedule", ["2,003 steps", "2,000 are warmup"]),
        ("selection", ["PPL Filter (1M)", "30 to 59 %"]),
        ("checkpoints", ["33.17", "32.80", "1b917c6f"]),
        ("variant", ["flexible-extract in ToEdit", "1.67, 1.52, 1.67", "2.35, 2.35, 2.20"]),
        ("variant", ["+0.23", "+0.17", "as printed +0.34"]),
        ("variant", ["GSM8K of OSS-Inst. Llama-3", "logged as flexible-extract, not as strict"]),
        ("variant", ["PubMedQA of 8 is logged as AdaptLLM", "no count of its 500 items"]),
        ("equal length", ["step 4,000 of 7,721", "39.49", "1.40 instead of 2.06", "e9e1e694"]),
        ("equal length", ["2.02B tokens (1.05B of them seen)", "z 1.40", "within chance"]),
    ],
)
def test_known_findings_are_found(kind, parts):
    texts = found(kind)
    assert any(all(part in text for part in parts) for text in texts), texts


@pytest.mark.parametrize(
    ("file", "old", "new", "kind", "part"),
    [
        ("table1_block1", "20.99", "20.43", "average", "20.99"),
        ("table3_biomedicine", "36.63", "36.56", "average", "36.63"),
        ("table11", "1.099", "1.010", "standard error", "1.099"),
        ("table3_math", "28.67,24.23,1.67,0.00,26.56", "28.67,26.56,1.67,0.00,24.23",
         "exchange", "OLMo-1B base: GPQA"),
        ("table14", "13.68B", "13.58B", "tokens", "13.68"),
        ("table5_v1", "p <= 0.001,64.2,56.39,35.0,27.80,12.4,39.16", "", "versions", "p <= 0.001"),
        ("table3_finance", "83.83", "85.50", "significance", "HeadLine: 85.68 → 83.83"),
        ("table1_block1", "22.26,", "21.26,", "monotone", "ArXiv"),
        ("table14", "(1M),0.97B,13.68B,14,738.36", "(1M),0.97B,13.68B,14,1738.36", "selection",
         "PPL Filter (1M)"),
        ("logs", "33.17", "32.17", "checkpoints", "turn the order"),
        ("runs", "4194304,2000", "4194304,200", "schedule", "OLMo-237M"),
        ("table3_math", "2.20", "1.67", "variant", "GSM8K mixes"),
        ("table7", "Top-k,64.50", "Top-k,71.00", "variant", "PubMedQA of Top-k is logged as Ada"),
        ("table8", "8,64.50", "8,64.40", "variant", "PubMedQA of 8 is logged as AdaptLLM"),
        ("table3_biomedicine", "52.29", "51.29", "equal length", "step 4,000"),
        ("checkpoints", "4000,7721", "7721,7721", "equal length", "instead of"),
        ("checkpoints", "60.00", "64.90", "equal length", "1.40 instead of"),
    ],
)  # fmt: skip
def test_a_finding_goes_with_the_number_it_rests_on(published, file, old, new, kind, part):
    assert any(part in text for text in found(kind))
    published(file, old, new)
    assert not any(part in text for text in found(kind))


def test_a_new_error_is_found(published):
    published("table9", "64.42", "64.44")
    assert any("PIQA: 64.44 % is no count of 1838 items" in text for text in found("count"))
    published("table16", "69.39", "70.39")
    assert any("Gen 2: the printed average 70.39" in text for text in found("average"))


def test_a_true_gain_survives_correction(published):
    published("table2", "54.13", "64.13")
    assert any("1 of the gains" in text for text in found("significance"))


def test_whole_numbers_of_items_are_possible_rounded_cut_off_or_of_binary_numbers():
    for size in (98, 448, 500, 610, 817, 1572):
        for count in range(size + 1):
            exact = 100 * count / size
            assert possible(f"{exact:.2f}", size)
            assert possible(f"{int(100 * exact) / 100:.2f}", size)
    assert not possible("52.59", 610)
    assert not possible("24.23", 448)


def test_both_sides_are_heard():
    findings = auditing.audit()
    speaks = {finding.speaks for finding in findings}
    assert {FOR, AGAINST} <= speaks
    page = auditing.markdown(findings)
    for finding in findings:
        assert finding.text.replace("|", "\\|") in page


def test_every_printed_file_is_read_whole():
    for name in printed.tables():
        for row in printed.rows(name):
            assert row.keys, name
            assert row.cells or row.average or name == "table1_v1_avg", (name, row)
