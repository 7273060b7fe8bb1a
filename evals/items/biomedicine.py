"""Items of biomedical benchmarks."""

from evals.items.wheel import Item, in_fixed_order, request_documents, sciriff_contexts


def pubmedqa_yesno() -> list[Item]:
    """The 401 yes/no items of PubMedQA: abstract, question, gold 0 (yes) or 1 (no)."""
    return in_fixed_order(
        [
            {"id": d["id"], "context": d["context"], "question": d["question"],
             "choices": ["yes", "no"], "gold": ["Yes", "No"].index(d["answer"])}
            for d in sciriff_contexts("pubmedqa")
        ]
    )  # fmt: skip


def medqa_en() -> list[Item]:
    """The 1,273 test items of MedQA (English, five options), options listed in the question."""
    return in_fixed_order(
        [
            {"id": f"medqa_en:{d['index']}", "question": d["question"], "query": d["query"],
             "choices": d["choices"], "gold": d["gold"]}
            for d in request_documents("medqa_en", "mc_5shot")
        ]
    )  # fmt: skip


def medmcqa_en() -> list[Item]:
    """The 4,183 validation items of MedMCQA (four options), options listed in the question."""
    return in_fixed_order(
        [
            {"id": d["id"], "question": d["question"], "query": d["query"],
             "choices": d["choices"], "gold": d["gold"]}
            for d in request_documents("medmcqa", "mc_5shot")
        ]
    )  # fmt: skip
