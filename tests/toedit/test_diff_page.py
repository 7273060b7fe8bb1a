"""The page of ``toedit diff``: what stands in it, and how it behaves in a browser."""

import json
import random
import re

import pytest
from browser import CHROMIUM
from commands import cli, lines, table_of
from conftest import corpus_text
from devtools import Session, opened

from toedit.corpora.documents import Reading
from toedit.diff_page import page
from toedit.diffs import Difference, Segment, differences

in_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
BINS = [0.5, 0, 0, 0, 0, 0.25, 0, 0, 0, 0.25]
COUNT = "document.getElementById('count').textContent"
FOCUSED = "document.activeElement.getAttribute('aria-label')"


def document(name: str, changes: list[Segment], gap: str = " quiet") -> Difference:
    """Changes with unchanged text before, between and after them."""
    segments = [Segment(gap, gap)]
    for change in changes:
        segments += [change, Segment(gap, gap)]
    return Difference(name, segments, True)


def test_a_page_says_what_the_edit_did():
    statistics = {"tokens": 1210, "scored": 1200, "changed": 31, "eligible": 60,
                  "changed_per_10k": 258.3333, "documents": 9, "rule": "p >= 0.99 & <more>",
                  "histogram": BINS, "eligible_histogram": [0] * 9 + [60],
                  "changed_histogram": [0] * 10}  # fmt: skip
    text = page([document("d", [Segment("a", "b")])], statistics, "Changes of <x>")
    assert "<title>Changes of &lt;x&gt;</title>" in text
    assert "<b>31</b> of 1,210 tokens changed (258.3 per 10,000)" in text
    assert "p &gt;= 0.99 &amp; &lt;more&gt;" in text
    assert "Below are the first 1 of 9 documents." in text
    assert "all tokens by probability, 1,200 in all" in text
    assert "<title>0.5 to 0.6: 300</title>" in text and "<title>0.9 to 1.0: 60</title>" in text
    assert "found by comparing words: neighbours" not in text
    unrecorded = Difference("d", [Segment("a", "b")], False)
    assert "found by comparing words: neighbours" in page([unrecorded], statistics)
    assert text.count("<svg") == 2  # nothing changed by the third
    assert "style=" not in text  # the content policy would drop it


@pytest.mark.parametrize(
    "odd",
    [None, [], {"a": 1}, True, -1, float("nan"), float("inf"), 10**400, "x\ud800<b>", [None],
     [1, "2"], [float("inf")] * 10, [0.5], [-1, 2]],
    ids=lambda odd: str(odd)[:20].encode("unicode_escape").decode(),
)  # fmt: skip
def test_odd_statistics_are_left_out(odd):
    known = {"tokens": 10, "scored": 10, "changed": 1, "eligible": 1, "changed_per_10k": 1.0,
             "documents": 1, "rule": "r", "histogram": BINS}  # fmt: skip
    assert "<svg" in page([], known)
    for key in known:
        page([], {**known, key: odd}).encode()
    assert "tokens changed" not in page([], dict.fromkeys(known, odd))


def test_placeholders_in_data_and_title_stay_as_they_are():
    text = page([document("/*SUMMARY*//*POLICY*/", [])], {}, "/*DATA*/")
    assert "<h1>/*DATA*/</h1>" in text
    (data,) = re.findall(r'id="documents">(.*?)</script>', text)
    assert json.loads(data)[0]["id"] == "/*SUMMARY*//*POLICY*/"


def test_the_page_of_an_edit_stage(edit, source, tmp_path, capsys):
    """Its folder holds ``shards`` and ``changes``, as those of experiments do."""
    output, stage = tmp_path / "out", tmp_path / "stage"
    assert edit(source, "--output", output) == 0
    stage.mkdir()
    (output / "data").rename(stage / "shards")
    (output / "changes").rename(stage / "changes")
    (stage / "record.json").write_text("{}")
    assert cli("diff", source, stage, "--html", tmp_path / "page.html") == 0
    (data,) = re.findall(r'id="documents">(.*?)</script>', (tmp_path / "page.html").read_text())
    changes = [s for d in json.loads(data) for s in d["segments"] if isinstance(s, list)]
    assert len(changes) == len(table_of(stage, "changes"))
    assert all(len(change) == 4 for change in changes)


class TestInBrowser:
    pytestmark = in_browser

    def test_keys_move_between_changes(self, tmp_path):
        candidates = [(" cat", 0.7), (" dog", 0.2)]
        documents = [
            document("first", [Segment(" ox", " dog", 0.995, candidates), Segment("\n", "")]),
            document("same", []),
            document("</script><img src=x onerror=alert(1)>", [Segment("p", "q", 0.4, [])] * 3),
        ]
        (tmp_path / "p.html").write_text(page(documents))
        with opened(tmp_path / "p.html", tmp_path / "profile") as s:
            assert s.evaluate(COUNT) == "5 changes in 2 of 3 documents"
            assert s.evaluate("document.querySelectorAll('img').length") == 0
            s.press("n")
            assert s.evaluate(FOCUSED) == "change 1:  ox became  dog, probability 0.9950"
            assert s.evaluate("$('tip').innerText").split("\n") == [
                '" ox": probability 0.995000 under the prior', "candidate\tprobability",
                '" cat"\t0.700', '" dog" drawn\t0.200',
            ]  # fmt: skip
            assert s.evaluate("document.activeElement.getAttribute('aria-describedby')") == "tip"
            s.press("Escape")
            assert s.evaluate("$('tip').hidden")
            s.press("j", "k", "j")
            assert s.evaluate(FOCUSED).startswith("change 2: ↵\n became ∅")
            s.press("n", "n", "n", "n", "n")
            assert s.evaluate(COUNT) == "change 5 of 5 in 2 of 3 documents"
            s.press("p")
            assert s.evaluate(COUNT).startswith("change 4 of 5")
            s.evaluate("$('next').click()")
            assert s.evaluate(FOCUSED).startswith("change 5:")
            assert s.evaluate("document.querySelectorAll('[tabindex=\"0\"].change').length") == 1

    def test_probabilities_and_shares_filter(self, tmp_path):
        draw = random.Random(3)
        probabilities = [[draw.random() for _ in range(draw.randint(1, 6))] for _ in range(40)]
        documents = [
            document(f"d{i}", [Segment("old", "new", p, []) for p in values])
            for i, values in enumerate(probabilities)
        ]
        documents.append(document("compared", [Segment("unknown", "probability")]))
        (tmp_path / "p.html").write_text(page(documents))
        kept = [sum(0.25 <= p <= 0.75 for p in values) for values in probabilities]
        said = f"{sum(kept)} changes in {sum(k > 0 for k in kept)} of 41 documents"
        with opened(tmp_path / "p.html", tmp_path / "profile", "#from=0.25&to=0.75") as s:
            assert s.evaluate(COUNT) == said
            assert s.evaluate("document.querySelectorAll('.change').length") == sum(kept)
            s.evaluate("$('from').value = '0'; $('to').value = '1'; filter()")
            total = sum(map(len, probabilities)) + 1
            assert s.evaluate(COUNT) == f"{total} changes in 41 of 41 documents"
            share = sorted(d.share for d in documents)[30]
            s.evaluate(f"$('least').value = '{100 * share - 1e-6}'; filter()")
            fits = [d for d in documents if d.share >= share - 1e-8]
            assert s.evaluate(COUNT).endswith(f" in {len(fits)} of 41 documents")

    def test_whole_texts_on_demand(self, tmp_path):
        far = " far" * 60 + " away"
        documents = [document("d", [Segment("x", "y")] * 2, far), document("e", [], far)]
        (tmp_path / "p.html").write_text(page(documents))
        text = "document.querySelector('article .text').textContent"
        with opened(tmp_path / "p.html", tmp_path / "profile") as s:
            assert "…" in s.evaluate(text) and far not in s.evaluate(text)
            assert s.evaluate("document.querySelectorAll('.text').length") == 2
            s.press("n", "n", "w")
            assert s.evaluate(text) == f"{far}xy{far}xy{far}"
            assert s.evaluate(FOCUSED).startswith("change 2:")
            button = "document.querySelector('article button')"
            assert s.evaluate(f"{button}.getAttribute('aria-expanded')") == "true"
            s.evaluate(f"{button}.click()")
            assert far not in s.evaluate(text)
        with opened(tmp_path / "p.html", tmp_path / "profile", "#all") as s:
            assert s.evaluate(COUNT) == "2 changes in 2 of 2 documents"
            assert far in s.evaluate("document.querySelectorAll('article')[1].textContent")

    def test_a_long_document_is_drawn_in_parts(self, tmp_path):
        """And no part ends within a character."""
        long = "x" * 49_999 + "\U0001d4b3" + "y" * 60_000
        document = Difference(
            "d", [Segment("a", "b"), Segment(long, long), Segment("c", "d")], True
        )
        (tmp_path / "p.html").write_text(page([document]))
        with opened(tmp_path / "p.html", tmp_path / "profile", "#whole") as s:
            assert s.evaluate("document.querySelectorAll('.change').length") == 1
            s.press("n", "n")
            assert s.evaluate(FOCUSED).startswith("change 2:")
            texts = s.evaluate("[...document.querySelectorAll('.text')].map((t) => t.textContent)")
            assert "".join(texts) == f"ab{long}cd"

    def test_ten_thousand_changes_stay_fluid(self, tmp_path):
        draw = random.Random(0)
        change = Segment(" old", " new", 0.99, [(f" c{k}", 0.1) for k in range(8)])
        documents = [
            document(f"d{i}", [change] * 10, " words that stay" * draw.randint(1, 30))
            for i in range(1000)
        ]
        (tmp_path / "p.html").write_text(page(documents))

        def milliseconds(session: Session, what: str) -> float:
            return session.evaluate(
                f"(() => {{ const t = performance.now(); {what}; document.body.offsetHeight;"
                " return performance.now() - t; })()"
            )

        with opened(tmp_path / "p.html", tmp_path / "profile") as s:
            assert s.evaluate(COUNT) == "10,000 changes in 1,000 of 1,000 documents"
            assert 200 <= s.evaluate("document.querySelectorAll('.change').length") < 2000
            assert milliseconds(s, "for (let i = 0; i < 100; i++) step(1)") < 100 * 50
            assert milliseconds(s, "go(9999)") < 3000
            assert s.evaluate(COUNT).startswith("change 10,000 of 10,000")
            assert milliseconds(s, "for (let i = 0; i < 20; i++) step(-1)") < 20 * 100
            assert milliseconds(s, "filter()") < 1000

    @pytest.mark.parametrize("dark", [False, True])
    def test_narrow_pages_do_not_scroll_sideways(self, tmp_path, dark):
        changes = [Segment("a" * 200, "b" * 3000, 0.5, [("c" * 300, 0.5)])]
        (tmp_path / "p.html").write_text(page(
            [document("d" * 300, changes, "w" * 400)],
            {"scored": 10, "changed": 1, "histogram": BINS, "rule": "r" * 200},
        ))  # fmt: skip
        with opened(tmp_path / "p.html", tmp_path / "profile", "#change=1", 360, dark) as s:
            assert s.evaluate("document.documentElement.scrollWidth") <= 360
            assert s.evaluate("$('tip').getBoundingClientRect().right") <= 360
            lightness = s.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (int(re.findall(r"\d+", lightness)[0]) < 128) == dark

    def test_a_conversation_names_its_speakers(self, tmp_path):
        chat = [
            {"from": "visitor", "value": "What did the study find?"},
            {"from": "expert", "value": "The cells grew in the medium for two days."},
        ]
        source, output = tmp_path / "s.jsonl", tmp_path / "out"
        source.write_text(lines([{"chat": chat, "id": "c"}]))
        options = ["--messages-column", "chat", "--role-names", "user=visitor,assistant=expert"]
        rule = ["--prior", "table", "--preset", "forced", "--threshold", "0.1"]
        assert cli("edit", source, "--output", output, *rule, *options) == 0
        assert cli("diff", source, output, "--html", tmp_path / "p.html") == 0
        texts = "[...document.querySelectorAll('.text')].map((t) => t.textContent)"
        with opened(tmp_path / "p.html", tmp_path / "profile") as s:
            assert all(text.startswith("expert: ") for text in s.evaluate(texts))
            s.press("n", "w")
            assert s.evaluate(texts)[0].rstrip() == "visitor: What did the study find?"

    def test_the_page_that_the_command_writes(self, edit, tmp_path):
        source, output = tmp_path / "s.jsonl", tmp_path / "out"
        source.write_text(lines([{"id": f"d{i}", "text": corpus_text(i)[:200]} for i in range(90)]))
        assert edit(source, "--output", output) == 0
        assert cli("diff", source, output, "--html", tmp_path / "p.html") == 0
        found = list(differences(source, output, Reading(unpack=False)))
        changes = sum(s.changed for d in found for s in d.segments)
        with opened(tmp_path / "p.html", tmp_path / "profile") as s:
            differing = sum(d.share > 0 for d in found)
            assert s.evaluate(COUNT) == f"{changes} changes in {differing} of 90 documents"
            assert s.evaluate("document.querySelectorAll('svg').length") == 3
