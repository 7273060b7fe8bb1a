"""Items of biomedical benchmarks."""

from collections.abc import Iterator

from evals.items.wheel import Item, in_fixed_order, request_documents, sciriff_contexts


@in_fixed_order
def pubmedqa_yesno() -> Iterator[Item]:
    """The 401 yes/no items of PubMedQA: abstract, question, gold 0 (yes) or 1 (no)."""
    for d in sciriff_contexts("pubmedqa"):
        yield {"id": d["id"], "context": d["context"], "question": d["question"],
               "choices": ["yes", "no"], "gold": ["Yes", "No"].index(d["answer"])}  # fmt: skip


@in_fixed_order
def medqa_en() -> Iterator[Item]:
    """The 1,273 test items of MedQA (English, five options), options listed in the question."""
    for d in request_documents("medqa_en", "mc_5shot"):
        yield {"id": f"medqa_en:{d['index']}", "question": d["question"], "query": d["query"],
               "choices": d["choices"], "gold": d["gold"]}  # fmt: skip


@in_fixed_order
def medmcqa_en() -> Iterator[Item]:
    """The 4,183 validation items of MedMCQA (four options), options listed in the question."""
    for d in request_documents("medmcqa", "mc_5shot"):
        yield {"id": d["id"], "question": d["question"], "query": d["query"],
               "choices": d["choices"], "gold": d["gold"]}  # fmt: skip
