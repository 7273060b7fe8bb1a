"""Conversations as tokens: templates role by role, what is learned, and packing without leakage."""

import re
from dataclasses import replace
from itertools import pairwise, repeat

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_kinds import FAITHFUL, KINDS, tokenizer_of
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from experiments.config import ModelConfig, TrainConfig
from experiments.training.chat import TEMPLATES, chat_template, encode, examples, responses_of
from experiments.training.worker import BLOCKS, Blocks, Job, make_trainer, smoothed_loss, train
from toedit.corpora.conversations import (
    MESSAGES,
    NoResponse,
    as_conversation,
    messages_of,
    render,
)
from toedit.corpora.documents import read_documents, write_documents
from toedit.corpora.packing import IGNORED, Example, pack, pack_examples
from toedit.corpora.units import Unit
from toedit.document import Document
from toedit.errors import UserError
from toedit.priors.loading import load_model, load_tokenizer

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Is it  raining?\n"},
    {"role": "assistant", "content": " No."},
    {"role": "user", "content": "Sure?"},
    {"role": "assistant", "content": "Quite sure."},
]
SMOLLM2 = TEMPLATES["smollm2"].read_text()


def learned_text(example: Example, tokenizer) -> str:
    return tokenizer.decode(example.ids[example.learned])


def test_the_template_of_smollm2_is_its_own_token_by_token():
    tokenizer = load_tokenizer("embedded")
    template = chat_template(ModelConfig(template="smollm2"), tokenizer)
    for messages in (TALK, TALK[1:], TALK[1:3]):
        example = encode(messages, tokenizer, template, "x")
        own = tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
        assert example.ids.tolist() == own
    example = encode(TALK, tokenizer, template, "x")
    pieces = [tokenizer.decode([token]) for token in example.ids]
    turns = [
        ("system", "Be brief."), ("user", "Is it  raining?\n"), ("assistant", " No."),
        ("user", "Sure?"), ("assistant", "Quite sure."),
    ]  # fmt: skip
    assert "".join(pieces) == "".join(f"<|im_start|>{r}\n{c}<|im_end|>\n" for r, c in turns)
    learned = [piece for piece, own in zip(pieces, example.learned, strict=True) if own]
    assert learned == [" No", ".", "<|im_end|>", "Qu", "ite", " sure", ".", "<|im_end|>"]


def test_the_template_of_llama3_is_that_of_its_instruct_model(tiny_model):
    from transformers.utils.chat_template_utils import render_jinja_template

    rendered = render_jinja_template(
        conversations=[TALK], chat_template=TEMPLATES["llama3"].read_text(),
        return_assistant_tokens_mask=True, bos_token="<|begin_of_text|>",
    )  # fmt: skip
    text, spans = rendered[0][0], rendered[1][0]
    heads = [f"<|start_header_id|>{m['role']}<|end_header_id|>\n\n{m['content'].strip()}<|eot_id|>"
             for m in TALK]  # fmt: skip
    assert text == "<|begin_of_text|>" + "".join(heads)
    assert [text[start:end] for start, end in spans] == ["No.<|eot_id|>", "Quite sure.<|eot_id|>"]


@pytest.mark.parametrize(
    ("messages", "line"),
    [
        ([{"role": "user", "content": "a"}], "record 'x' holds no response"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}], "no response"),
        ([{"role": "narrator", "content": "a"}, {"role": "assistant", "content": "b"}],
         "record 'x': unknown role 'narrator'; allowed: system, user, assistant"),
        ("text", "messages must be a list"),
        ([{"role": "user"}], "messages must be a list"),
    ],
)  # fmt: skip
def test_what_is_no_conversation_is_named(messages, line):
    with pytest.raises(UserError, match=line):
        as_conversation(Document("x", ""), messages, "record 'x'")


def test_markers_and_templates_that_are_missing_are_named(tiny_model):
    tokenizer = load_tokenizer(str(tiny_model))
    with pytest.raises(UserError, match=r"no chat template: model\.template=llama3, smollm2, tulu"):
        chat_template(ModelConfig(model="tiny", template="own"), tokenizer)
    with pytest.raises(UserError, match=r"does not mark responses by \{% generation %\}"):
        chat_template(ModelConfig(template="own"), load_tokenizer("embedded"))
    with pytest.raises(UserError, match="did you mean 'llama3'"):
        chat_template(ModelConfig(template="llama"), tokenizer)
    forged = [{"role": "user", "content": "a<|im_end|>\n"}, {"role": "assistant", "content": "b"}]
    with pytest.raises(UserError, match=r"record 'x': the message of role 'user' holds.*im_end"):
        encode(forged, tokenizer, SMOLLM2, "x")
    named = load_tokenizer("embedded")  # "<filename>" is special, but none that it names
    with pytest.raises(UserError, match="control token '<filename>'"):
        encode([{"role": "user", "content": "<filename>"}, *TALK[2:3]], named, SMOLLM2, "x")
    with pytest.raises(UserError, match="is no conversation"):
        list(examples([Document("x", "plain")], tokenizer, SMOLLM2))


def test_edited_responses_go_back_to_their_roles_through_a_shard(tmp_path):
    document = as_conversation(Document("x", "", {"set": "s"}), TALK, "x")
    assert messages_of(document) == TALK
    start, end = document.editable[0]
    longer = document.text[:start] + " Not at all." + document.text[end:]
    moved = tuple((a + 8 * (a > start), b + 8) for a, b in document.editable)
    edited = replace(document, text=longer, editable=moved)
    path = tmp_path / "a.parquet"
    write_documents(path, [edited, Document("plain", "text")])
    back, plain = read_documents(Unit(str(path), 0, 2))
    assert back == edited
    assert (plain.editable, messages_of(plain)) == (None, None)
    contents = [message["content"] for message in messages_of(back)]
    assert contents == ["Be brief.", "Is it  raining?\n", " Not at all.", "Sure?", "Quite sure."]
    assert [m["role"] for m in messages_of(back)] == [m["role"] for m in TALK]
    assert back.metadata[MESSAGES] == TALK


WITH_TOOLS = """{%- for tool in tools or [] -%}[{{ tool['function']['name'] }}]{%- endfor -%}
{%- for m in messages -%}
{{- '<' + m['role'] + '>' -}}
{%- if m['role'] == 'assistant' -%}{%- generation -%}
{{- m['content'] -}}
{%- for call in m['tool_calls'] or [] -%}
{{- call['function']['name'] + (call['function']['arguments'] | tojson) -}}
{%- endfor -%}<|im_end|>{%- endgeneration -%}
{%- else -%}{{- m['content'] -}}{%- endif -%}
{%- endfor -%}"""


def tool_talk(arguments, **call) -> list[dict]:
    function = {"name": "weather", "arguments": arguments}
    return [
        {"role": "user", "content": [{"type": "text", "text": "Rain"}, {"type": "image"}]},
        {"role": "assistant", "content": None,
         **(call or {"tool_calls": [{"type": "function", "function": function}]})},
        {"role": "tool", "tool_call_id": "1", "content": None},
        {"role": "assistant", "content": [{"type": "text", "text": "No"}, {"text": " rain."}]},
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [{"city": "Bergen"}, '{"city": "Bergen"}'])
def test_tool_calls_reach_the_template_and_are_learned(tiny_model, arguments):
    tokenizer = load_tokenizer(str(tiny_model))
    document = as_conversation(
        Document("x", "", {"tools": '[{"type": "function", "function": {"name": "weather"}}]'}),
        tool_talk(arguments), "x",
    )  # fmt: skip
    assert document.text == "Rain\n\nNo\n\n rain."
    (example,) = examples([document], tokenizer, WITH_TOOLS)
    called = 'weather{"city": "Bergen"}<|im_end|>'
    text = f"[weather]<user>Rain<assistant>{called}<tool><assistant>No rain.<|im_end|>"
    assert tokenizer.decode(example.ids) == text
    assert learned_text(example, tokenizer) == f"{called}No rain.<|im_end|>"
    older = tool_talk(None, function_call={"name": "weather", "arguments": arguments})
    with_older = encode(messages_of(as_conversation(Document("x", ""), older, "x")),
                        tokenizer, WITH_TOOLS, "x")  # fmt: skip
    assert f"<assistant>{called}<tool>" in tokenizer.decode(with_older.ids)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_templates_without_tool_calls_get_them_as_text(tiny_model, name):
    tokenizer = load_tokenizer(str(tiny_model))
    messages = tool_talk({"city": "Bergen"})
    template = TEMPLATES[name].read_text()
    learned = learned_text(encode(messages, tokenizer, template, "x"), tokenizer)
    call = '{"name": "weather", "arguments": {"city": "Bergen"}}'
    assert learned.startswith(f"<tool_call>\n{call}\n</tool_call>")
    assert "No rain." in learned
    spoken = [*messages[:1], {**messages[1], "content": "Wait."}]
    learned = learned_text(encode(spoken, tokenizer, template, "x"), tokenizer)
    assert learned.startswith("Wait.\n<tool_call>\n")


@pytest.mark.parametrize("calls", ["text", 3, [3], [None], {"name": "x"}])
def test_tool_calls_of_no_known_form_are_named(tiny_model, calls):
    tokenizer = load_tokenizer(str(tiny_model))
    for template in (WITH_TOOLS, SMOLLM2):
        with pytest.raises(UserError, match=r"record 'x': .*tool"):
            encode(tool_talk(None, tool_calls=calls), tokenizer, template, "x")
    forged = [{"function": {"name": "<|im_end|>"}}]
    with pytest.raises(UserError, match="control token"):
        encode(tool_talk(None, tool_calls=forged), tokenizer, WITH_TOOLS, "x")


def response(text: str, **more) -> dict:
    return {"role": "assistant", "content": text, **more}


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_responses_of_weight_zero_are_context(tiny_model, name):
    tokenizer, template = load_tokenizer(str(tiny_model)), TEMPLATES[name].read_text()
    turns = [TALK[0], response("Wrong.", weight=0), TALK[0], response("Right.", weight=1)]
    document = as_conversation(Document("x", ""), turns, "x")
    (example,) = examples([document], tokenizer, template)
    plain = [{k: v for k, v in turn.items() if k != "weight"} for turn in turns]
    (without,) = examples([as_conversation(Document("x", ""), plain, "x")], tokenizer, template)
    assert example.ids.tolist() == without.ids.tolist()
    assert "Wrong." in learned_text(without, tokenizer)
    learned = learned_text(example, tokenizer)
    assert "Right." in learned and "Wrong." not in learned
    for last in (response("Right.", weight=0), response("", weight=1)):
        with pytest.raises(NoResponse):
            as_conversation(Document("x", ""), [*turns[:3], last], "x")
    joined = template.replace("{%- generation -%}", "").replace("{%- endgeneration -%}", "")
    joined = "{%- generation -%}" + joined + "{%- endgeneration -%}"
    with pytest.raises(UserError, match=r"record 'x': .* marks 1 parts of 2 responses"):
        list(examples([document], tokenizer, joined))


def test_reasoning_reaches_templates_that_read_it(tiny_model):
    tokenizer = load_tokenizer(str(tiny_model))
    template = SMOLLM2.replace(
        "{{- message['content'] + '<|im_end|>' -}}",
        "{{- (message.reasoning_content or '') + message['content'] + '<|im_end|>' -}}", 1,
    )  # fmt: skip
    turns = [TALK[0], response("Yes.", reasoning_content="It rains, so: ")]
    document = as_conversation(Document("x", ""), turns, "x")
    (example,) = examples([document], tokenizer, template)
    assert learned_text(example, tokenizer) == "It rains, so: Yes.<|im_end|>"
    forged = [TALK[0], response("Yes.", reasoning_content="a <|im_end|> b")]
    with pytest.raises(UserError, match="control token"):
        encode(forged, tokenizer, template, "x")


def test_tools_change_nothing_in_conversations_that_use_none(tiny_model):
    tokenizer = load_tokenizer(str(tiny_model))
    tools = [{"type": "function", "function": {"name": "weather"}}]
    plain, offered = (encode(TALK, tokenizer, WITH_TOOLS, "x", t) for t in (None, tools))
    assert plain.ids.tolist() == offered.ids.tolist()


RECORDS = st.lists(
    st.lists(st.booleans(), min_size=1, max_size=12), min_size=1, max_size=30
).map(
    lambda masks: [
        Example(str(i), np.arange(len(mask), dtype=np.int32) + 100 * i, np.array(mask))
        for i, mask in enumerate(masks)
    ]
)  # fmt: skip


@settings(max_examples=200)
@given(RECORDS, st.integers(1, 5))
def test_records_stay_whole_and_in_order_and_only_responses_are_learned(records, blocks):
    size = 8
    try:
        packed, counts = pack_examples(records, size, blocks, padding=-7)
    except UserError as error:
        assert "lower train.tokens" in str(error)
        assert sum(len(r.ids[:size]) for r in records if r.learned[1:size].any()) <= blocks * size
        return
    assert packed.shape == (blocks, size)
    found = []
    for block in packed:
        starts = [*np.flatnonzero(block["position_ids"] == 0), size]
        for start, end in pairwise(starts):
            part = block[start:end]
            assert part["position_ids"].tolist() == list(range(end - start))
            if part["input_ids"][0] == -7:
                assert (part["labels"] == IGNORED).all()
                assert end == size
            else:
                found.append(part)
    kept = [r for r in records if r.learned[1:size].any()]
    for record, part in zip(kept, found, strict=False):
        ids, learned = record.ids[:size], record.learned[:size].copy()
        learned[0] = False
        assert part["input_ids"].tolist() == ids.tolist()
        assert part["labels"].tolist() == np.where(learned, ids, IGNORED).tolist()
    assert counts["records"] == len(found)
    assert counts["learned"] == (packed["labels"] != IGNORED).sum()
    assert counts["padding"] == (packed["input_ids"] == -7).sum()


def conversations(number: int) -> list[Document]:
    talks = []
    for i in range(number):
        asked = {"role": "user", "content": f"Question {i}? " + "why " * (i % 5)}
        answer = {"role": "assistant", "content": f"Because of {i}. " + "so " * (3 * i % 7)}
        talks.append(as_conversation(Document(f"r{i}", ""), [asked, answer], f"r{i}"))
    return talks


def test_packed_records_do_not_see_each_other(tmp_path, tiny_model):
    tokenizer, model = load_tokenizer(str(tiny_model)), load_model(str(tiny_model))
    records = list(examples(conversations(6), tokenizer, SMOLLM2))
    packed, _ = pack_examples(records, 256, 1, tokenizer.eos_token_id)
    np.save(tmp_path / "b.npy", packed)
    example = Blocks([tmp_path / "b.npy"])[0]
    labels, place, checked = example.pop("labels"), 0, 0
    with torch.no_grad():
        together = model(**{k: v[None] for k, v in example.items()}, use_cache=False).logits[0]
        for record in records:
            if place + len(record.ids) > 256:
                break
            alone = model(torch.from_numpy(record.ids).long()[None]).logits[0]
            assert torch.allclose(together[place : place + len(alone)], alone, atol=1e-5)
            wanted = np.where(record.learned, record.ids, IGNORED).tolist()
            assert labels[place : place + len(alone)].tolist() == wanted
            place, checked = place + len(alone), checked + 1
    assert checked >= 2


def small_job(folder, tiny_model, micro_batch: int) -> Job:
    folder.mkdir()
    tokenizer = load_tokenizer(str(tiny_model))
    records = examples(conversations(40), tokenizer, SMOLLM2)
    packed, _ = pack_examples(records, 128, 8, tokenizer.eos_token_id)
    np.save(folder / BLOCKS, packed)
    steps = TrainConfig(tokens=1024, block_size=128, batch_tokens=512, learning_rate=1e-2,
                        warmup_steps=1, precision="float32", micro_batch=micro_batch)  # fmt: skip
    return Job(str(folder), ModelConfig(model=str(tiny_model), template="smollm2"), steps, seed=0)


@pytest.mark.slow
def test_how_a_batch_is_divided_does_not_change_the_loss_of_responses(tmp_path, tiny_model):
    curves = {}
    for micro in (1, 2, 4):
        losses = []
        train(small_job(tmp_path / str(micro), tiny_model, micro),
              lambda values, step, own=losses: own.append(values["loss"]))  # fmt: skip
        curves[micro] = losses
    # Blocks hold unequal numbers of responses: means of means would differ by far more.
    assert curves[1] == pytest.approx(curves[4], abs=1e-3)
    assert curves[2] == pytest.approx(curves[4], abs=1e-3)
    saved = load_tokenizer(str(tmp_path / "1" / "model"))
    assert saved.chat_template == SMOLLM2


def test_labels_are_smoothed_where_marked_and_nowhere_else():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 5, 7), torch.randint(7, (2, 5))
    labels[0, 3] = IGNORED
    marked = torch.tensor([[0, 1, 0, 1, 1], [0, 0, 0, 0, 1]])
    plain = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    assert smoothed_loss(logits, labels, marked, 0.0) == pytest.approx(plain.item(), abs=1e-6)
    total = 0.0
    for row in range(2):
        for place in range(1, 5):
            if labels[row, place] == IGNORED:
                continue
            logprobs = logits[row, place - 1].log_softmax(-1)
            target = torch.zeros(7)
            target[labels[row, place]] = 1
            if marked[row, place]:
                target = 0.7 * target + 0.3 / 7
            total -= float((target * logprobs).sum())
    assert smoothed_loss(logits, labels, marked, 0.3) == pytest.approx(total / 7, abs=1e-6)
    assert smoothed_loss(logits, labels, marked, 0.3, 14) == pytest.approx(total / 14, abs=1e-6)


def test_marks_follow_characters_into_another_tokenizer(tiny_model):
    tokenizer = load_tokenizer(str(tiny_model))
    text = "Vitamin D levels were measured; quality improved."
    spans = [(text.index("levels"), text.index("levels") + 6), (len(text) - 1, len(text))]
    blocks = pack([text, text], tokenizer, 0, 8, 32, spans=[spans, []])
    flat = blocks.reshape(-1)
    plain = pack([text, text], tokenizer, 0, 8, 32)
    assert (flat["input_ids"] == plain.reshape(-1)).all()
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    wanted = [any(a < end and start < b for start, end in spans) for a, b in found.offset_mapping]
    n = len(wanted)
    assert 0 < sum(wanted) < n <= 32
    assert flat["smoothed"][:n].tolist() == wanted
    assert not flat["smoothed"][n:].any()


def test_smoothing_reaches_the_trainer_and_raises_certain_losses(tmp_path, tiny_model):
    losses = {}
    for amount in (0.0, 0.5):
        folder = tmp_path / str(amount)
        folder.mkdir()
        tokenizer = load_tokenizer(str(tiny_model))
        texts = ["The quick brown fox jumps over the lazy dog. "] * 40
        spans = [[(0, len(text))] for text in texts]
        np.save(folder / BLOCKS, pack(texts, tokenizer, 0, 32, 256, spans=spans))
        steps = TrainConfig(tokens=256, block_size=32, batch_tokens=64, learning_rate=1e-3,
                            warmup_steps=1, precision="float32", micro_batch=2)  # fmt: skip
        own = Job(str(folder), ModelConfig(model=str(tiny_model)), steps, 0, smoothing=amount)
        trainer, _ = make_trainer(own, lambda values, step: None)
        batch = trainer.data_collator([trainer.train_dataset[0], trainer.train_dataset[1]])
        found = trainer.compute_loss(trainer.model, dict(batch))
        logits = trainer.model(batch["input_ids"]).logits
        own_loss = smoothed_loss(logits, batch["labels"], batch["smoothed"], amount)
        assert float(found) == pytest.approx(float(own_loss), abs=1e-5)
        losses[amount] = float(found)
    assert losses[0.0] != pytest.approx(losses[0.5], abs=1e-4)


def test_the_template_for_base_models_ends_responses_by_their_own_end(tiny_model):
    tokenizer = load_tokenizer(str(tiny_model))
    template = chat_template(ModelConfig(template="tulu"), tokenizer)
    example = encode(TALK, tokenizer, template, "x")
    begin, end = tokenizer.bos_token, tokenizer.eos_token
    assert tokenizer.decode(example.ids) == (
        f"{begin}<|system|>\nBe brief.\n<|user|>\nIs it  raining?\n\n<|assistant|>\n No.{end}\n"
        f"<|user|>\nSure?\n<|assistant|>\nQuite sure.{end}\n"
    )
    assert learned_text(example, tokenizer) == f" No.{end}Quite sure.{end}"


def test_a_second_text_is_never_smoothed(tiny_model):
    tokenizer = load_tokenizer(str(tiny_model))
    blocks = pack(["some text here"] * 4, tokenizer, 0, 8, 16, spans=repeat([]))
    assert not blocks["smoothed"].any()
    assert blocks.dtype.names == ("input_ids", "smoothed")


@pytest.fixture(scope="module")
def embedded():
    return load_tokenizer("embedded")


WORDS = st.text("aeThqu. \n", max_size=12).filter(str.strip)
TURNS = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4)


def talk_of(turns) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [
        {"role": role, "content": content}
        for turn in turns
        for role, content in zip(roles, turn, strict=True)
    ]


def runs(example: Example, tokenizer) -> list[str]:
    """Texts of the runs of learned tokens."""
    edges = np.flatnonzero(np.diff(example.learned, prepend=False, append=False)).reshape(-1, 2)
    return [tokenizer.decode(example.ids[start:end]) for start, end in edges]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(turns=TURNS, name=st.sampled_from(["tulu", "smollm2"]))
def test_each_response_is_learned_to_its_end_and_nothing_else(kind, turns, name):
    tokenizer, template = tokenizer_of(kind), TEMPLATES[name].read_text()
    example = encode(talk_of(turns), tokenizer, template, "x")
    end = {"tulu": tokenizer.eos_token, "smollm2": "<|im_end|>"}[name]
    wanted, found = [answer + end for _, answer in turns], runs(example, tokenizer)
    if kind in FAITHFUL:
        # A newline before the response may be merged with it, and is then learned with it.
        assert all(f in (w, "\n" + w) for f, w in zip(found, wanted, strict=True))
    normalizer = tokenizer.backend_tokenizer.normalizer

    def bare(text: str) -> str:
        text = normalizer.normalize_str(text) if normalizer else text
        return "".join(text.replace("▁", "").split())

    assert list(map(bare, found)) == list(map(bare, wanted))
    text, spans = render(talk_of(turns), tokenizer, template)
    for start, stop in reversed(spans):
        text = text[:start] + text[stop:]
    if kind != "word_piece" or name == "smollm2":  # its decoder writes spaces around "<|user|>"
        assert bare(tokenizer.decode(example.ids[~example.learned])) == bare(text)


@settings(max_examples=30)
@given(turns=TURNS, name=st.sampled_from(["smollm2", "llama3"]))
def test_where_offsets_are_exact_the_mask_is_that_of_transformers(embedded, turns, name):
    tokenizer, template = embedded, TEMPLATES[name].read_text()
    example = encode(talk_of(turns), tokenizer, template, "x")
    own = tokenizer.apply_chat_template(
        talk_of(turns), chat_template=template, return_dict=True, return_assistant_tokens_mask=True
    )
    assert example.ids.tolist() == own["input_ids"]
    assert example.learned.tolist() == [bool(m) for m in own["assistant_masks"]]


def test_a_control_token_that_swallows_spaces_is_no_part_of_a_response():
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer_of("trimmed").backend_tokenizer, eos_token="</s>"
    )
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [AddedToken("<|assistant|>", rstrip=True, special=True)]}
    )
    template = TEMPLATES["tulu"].read_text()
    example = encode(talk_of([("Sure?", "  Quite. ")]), tokenizer, template, "x")
    assert learned_text(example, tokenizer) == "Quite. </s>"


def test_an_end_that_the_tokenizer_leaves_out_is_named():
    with pytest.raises(UserError, match="no token for '<end>', which ends a response"):
        responses_of("ask: yes<end>", [(0, 4), (5, 8)], [(5, 13)])
    with pytest.raises(UserError, match="no token for 'yes'"):
        responses_of("ask: yes", [(0, 4)], [(5, 8)])
    marked = responses_of("a yes  b", [(0, 1), (2, 5), (7, 8)], [(2, 7)])
    assert marked.tolist() == [False, True, False]


START = "{% for m in messages %}<|im_start|>{{ m.role }}\n"
GOOD = START + (
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ m.content }}<|im_end|>{% endif %}{% endfor %}"
)
WRONG = [
    (START + "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% endfor %}",
     "marks 'Is it raining?' of the user"),
    (GOOD.replace("<|im_end|>{% endgeneration %}", "{% endgeneration %}<|im_end|>"),
     "without the token that ends them, '<|im_end|>'"),
    ("{% macro turn(m) %}<|im_start|>{{ m.role }} says\n{% if m.role == 'assistant' %}"
     "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}"
     "{% endif %}{% endmacro %}{% for m in messages %}{{ turn(m) }}{% endfor %}",
     "as responses, not 'Quite sure.'"),
    (GOOD.replace("endfor", "endfour"), "is broken"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "line"), WRONG)
def test_a_template_that_marks_other_text_than_responses_is_refused(template, line, tiny_model):
    tokenizer = load_tokenizer(str(tiny_model))
    tokenizer.chat_template = template
    with pytest.raises(UserError, match=re.escape(line)) as raised:
        chat_template(ModelConfig(model="tiny", template="own"), tokenizer)
    assert "set model.template, one of" in str(raised.value)


@pytest.mark.parametrize(
    "template",
    [
        GOOD,
        GOOD.replace("{% generation %}", "{%- generation -%}"),
        GOOD.replace("m.role == 'assistant'", "loop.last"),
        GOOD.replace("<|im_end|>{% endgen", "<|im_end|>\n{% endgen"),
        GOOD.replace("{% endfor %}", "\n{% endfor %}"),
        GOOD.replace("<|im_end|>{% endgen", "###{% endgen"),
        "{{ raise_exception('a system prompt first') }}{% generation %}{% endgeneration %}",
    ],
)
def test_templates_that_mark_responses_are_taken(template, tiny_model):
    tokenizer = load_tokenizer(str(tiny_model))
    for own in (template, {"default": template, "other": "x"}):
        tokenizer.chat_template = own
        assert chat_template(ModelConfig(template="own"), tokenizer) == template


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{{ raise_exception('roles') }}", "roles"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ messages[9].content }}", "no element 9"),
        ("{{ nothing + 'x' }}", "'nothing' is undefined"),
        ("{% for %}", "Expected an expression"),
        ("{{ messages | map('x') | list }}", "No filter named 'x'"),
        ("{{ 'x' * 'y' }}", "can't multiply"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
    ],
)
def test_a_template_that_fails_is_one_line_with_its_record(template, line, tiny_model):
    tokenizer = load_tokenizer(str(tiny_model))
    with pytest.raises(UserError, match=f"record 'r7': the chat template refuses it: .*{line}"):
        encode(TALK, tokenizer, template, "r7")
