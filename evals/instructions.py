"""Conversations for supervised fine-tuning, from human-written items of the embedded data.

| set | what it is | records |
|---|---|---|
| questions | about a passage, short answers: CoQA conversations, SQuAD, DROP | 2,500 |
| explanations | exam questions answered with the reason: MedMCQA, SciQ | 3,093 |
| code | MBPP and HumanEval problems with their Python solution | 664 |

``instructions`` is the first two together. Ids are those of the items, so that a set can be
separated from a benchmark with the same items.
"""

from collections.abc import Callable, Iterator
from typing import Any

from evals.items.mathematics import gsm8k_items, math_items
from evals.items.wheel import request_documents
from toedit.corpora.conversations import MESSAGES
from toedit.document import Document
from toedit.errors import require_choice

Turns = list[tuple[str, str]]
"""(user message, answer) pairs, in order."""


def conversations(name: str) -> Iterator[Document]:
    """Read the conversations of a set: documents with messages in the metadata and no text.

    Raises:
        UserError: there is no such set.
    """
    require_choice("instructions", name, INSTRUCTIONS)
    seen: set[str] = set()
    for identity, turns in INSTRUCTIONS[name]():
        if identity in seen:  # SciQ's file holds every item twice
            continue
        seen.add(identity)
        messages = [
            {"role": role, "content": content.strip()}
            for turn in turns
            for role, content in zip(("user", "assistant"), turn, strict=True)
        ]
        yield Document(identity, "", {MESSAGES: messages, "set": name})


def _questions() -> Iterator[tuple[str, Turns]]:
    for item in request_documents("coqa", "bpb_0shot"):
        if item["id"].endswith("_turn0"):
            turns = [(turn["question"], turn["answer"]) for turn in item["previous_qa"]]
            first = (f"{item['story']}\n\n{turns[0][0]}", turns[0][1])
            yield f"coqa:{item['id'].removesuffix('_turn0')}", [first, *turns[1:]]
    for item in request_documents("squad", "bpb_5shot"):
        passage = item["query"].partition("Background: ")[2].removesuffix("\nAnswer:")
        passage, _, question = passage.rpartition("\nQuestion:")
        yield f"squad:{item['id']}", [(f"{passage}\n\n{question.strip()}", item["choices"][0])]
    for item in request_documents("drop", "bpb_5shot"):
        answer = ", ".join(item["choices"][0])
        yield f"drop:{item['query_id']}", [(f"{item['passage']}\n\n{item['question']}", answer)]


def _explanations() -> Iterator[tuple[str, Turns]]:
    for item in request_documents("medmcqa", "mc_5shot"):
        if item["exp"]:
            options = [item[key] for key in ("opa", "opb", "opc", "opd")]
            listed = "\n".join(f"- {option}" for option in options)
            answer = f"{item['exp'].strip()}\n\nAnswer: {options[item['gold']]}"
            yield item["id"], [(f"{item['question']}\n{listed}", answer)]
    for item in request_documents("sciq", "rc_5shot"):
        if item["support"].strip():
            answer = f"{item['support'].strip()}\n\nAnswer: {item['correct_answer']}"
            yield f"sciq:{item['index']}", [(item["question"], answer)]


def _instructions() -> Iterator[tuple[str, Turns]]:
    yield from _questions()
    yield from _explanations()


def _code() -> Iterator[tuple[str, Turns]]:
    for item in request_documents("mt_mbpp_python", "gold_bpb_3shot"):
        code = item["code"].replace("\r\n", "\n").replace("\t", "    ")
        yield f"mbpp:{item['task_id']}", [(item["text"], code)]
    for item in request_documents("codex_humaneval", "gold_bpb_0shot"):
        prompt = item["prompt"].rstrip()
        answer = f"{prompt}\n{item['canonical_solution'].rstrip()}"
        yield item["task_id"], [(f"Complete this function:\n\n{prompt}", answer)]


INSTRUCTIONS: dict[str, Callable[[], Iterator[tuple[str, Any]]]] = {
    "questions": _questions,
    "explanations": _explanations,
    "instructions": _instructions,
    "code": _code,
}
"""Functions that read each set."""

QUOTED = {
    "mathematics": ("GSM8K", "MATH"),
    "questions": ("CoQA", "SQuAD", "DROP"),
    "explanations": ("MedMCQA", "SciQ"),
    "instructions": ("CoQA", "SQuAD", "DROP", "MedMCQA", "SciQ"),
    "code": ("MBPP", "HumanEval"),
}
"""Benchmarks whose questions and answers are in each text."""


def solutions(held_back: bool) -> Iterator[Document]:
    """Read problems of GSM8K and MATH with their solutions, as plain text.

    ``held_back`` selects the items that the embedded tasks evaluate, else the others. A model that
    is trained on benchmark items cannot be compared with others.
    """
    for item in (*gsm8k_items(held_back), *math_items(held_back)):
        text = f"Problem: {item['problem']}\n\nSolution: {item['solution']}"
        yield Document(item["id"], text, {"source": item["id"].partition(":")[0]})
