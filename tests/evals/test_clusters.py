"""Which items and held-out documents count as one."""

import pytest

from evals import clusters
from evals.clusters import document_clusters, item_cluster
from toedit.document import Document

WORDS = " ".join(f"word{n}" for n in range(20))


def document(name: str, text: str = "", **metadata) -> Document:
    return Document(id=name, text=text or f"{name} alone", metadata=metadata)


@pytest.mark.parametrize(
    ("fields", "other", "task", "together"),
    [
        ({"passage": "A text."}, {"passage": "A text. "}, "", True),
        ({"passage": "A text."}, {"passage": "Another."}, "", False),
        ({"passage": ""}, {"passage": ""}, "", False),
        ({"option1": "the cat", "option2": "the dog"},
         {"option1": "The dog", "option2": "the cat"}, "", True),
        ({"cluster": "a", "passage": "A."}, {"cluster": "b", "passage": "A."}, "", False),
        ({"input": "x" * 300 + "1", "label": "1"}, {"input": "x" * 300 + "2", "label": "2"},
         clusters.CONVFINQA, True),
        # Shots that prompts of another task share are no report.
        ({"input": "x" * 300 + "1", "label": "1"}, {"input": "x" * 300 + "2", "label": "2"},
         "adaptllm_ner", False),
        ({"question": "Why?"}, {"question": "Why?"}, "", False),
    ],
)  # fmt: skip
def test_items_about_one_text_are_a_cluster(fields, other, task, together):
    assert (item_cluster(fields, "1", task) == item_cluster(other, "2", task)) is together


@pytest.mark.parametrize("most", [clusters.MOST_TEXTS, 0])
def test_documents_of_one_article_or_passage_are_a_cluster(monkeypatch, most):
    monkeypatch.setattr(clusters, "MOST_TEXTS", most)
    found = document_clusters([
        document("a", cluster="article"), document("b", cluster="article"),
        document("c", seed=("pubmed", "1")), document("d", seed=["pubmed", "1"]),
        document("e", seed=("pubmed", "2")), document("f"),
    ])  # fmt: skip
    assert found == ["a", "a", "c", "c", "e", "f"]


def test_documents_that_share_thirteen_words_are_a_cluster():
    texts = [document("a", f"Once {WORDS}"), document("b", f"{WORDS} again"), document("c")]
    assert document_clusters(texts) == ["a", "a", "c"]


@pytest.mark.parametrize("most", [clusters.MOST_TEXTS, 0])
@pytest.mark.parametrize(
    "metadata", [{"seed": 0}, {"seed": 1.5}, {"seed": "x"}, {"seed": [1, 2]}, {"seed": {}},
                 {"seed": []}, {"cluster": None}],
)  # fmt: skip
def test_columns_that_only_have_the_name_group_nothing(monkeypatch, most, metadata):
    monkeypatch.setattr(clusters, "MOST_TEXTS", most)
    assert document_clusters([document("a", **metadata), document("b", **metadata)]) == ["a", "b"]


@pytest.mark.parametrize("named", [3, ["a", 1], {"k": [1]}, 2.5])
def test_a_cluster_may_be_named_by_any_value(named):
    assert document_clusters([document("a", cluster=named), document("b", cluster=named)]) == [
        "a",
        "a",
    ]
