"""Chats as people have them: other keys and names of roles, tool calls, and contents of parts."""

import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import cli, lines, table_of
from conftest import corpus_text
from test_records import corpus_of

from experiments.config import EvalConfig
from experiments.stages import corpus as corpus_stage
from toedit.corpora.conversations import (
    MESSAGES,
    ROLE_NAMES,
    as_conversation,
    message_parts,
    messages_of,
    with_responses,
)
from toedit.document import Document
from toedit.errors import UserError

RULE = ("--prior", "table", "--preset", "forced", "--threshold", "0.2", "--messages-column", "chat")


def edited(tmp_path, chats, *options, suffix: str = "jsonl") -> list:
    """The chats of an output in two generations, as Python objects."""
    source, output = tmp_path / f"chats.{suffix}", tmp_path / "out"
    rows = [{"id": f"{i}", "chat": chat} for i, chat in enumerate(chats)]
    if suffix == "jsonl":
        source.write_text(lines(rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), source)
    assert cli("edit", source, "--output", output, *RULE, "--generations", "2", *options) == 0
    found = [row["chat"] for row in table_of(output).to_pylist()]
    return [json.loads(chat) if isinstance(chat, str) else chat for chat in found]


def asked(number: int, role="human", keys=("from", "value")) -> dict:
    return dict(zip(keys, (role, corpus_text(number)), strict=True))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_sharegpt_records_keep_their_keys_and_names(tmp_path, suffix):
    chats = [[{"from": "system", "value": "quit"}, asked(i), {**asked(i + 9, "gpt"), "weight": 1}]
             for i in range(4)]  # fmt: skip
    found = edited(tmp_path, chats, suffix=suffix)  # all keys in all messages
    chats = [[{"weight": None, **message} for message in chat] for chat in chats]
    for before, after in zip(chats, found, strict=True):
        assert after[:2] == before[:2]
        assert after[2] == {**before[2], "value": after[2]["value"]}
        assert after[2]["value"] != before[2]["value"]


def test_names_of_roles_are_given_by_an_option(tmp_path, capsys):
    chats = [[asked(i, "prompter"), asked(i + 9, "model"), asked(i + 20, "bot")] for i in range(3)]
    source = tmp_path / "chats.jsonl"
    source.write_text(lines({"chat": chat} for chat in chats))
    assert cli("edit", source, "--output", tmp_path / "none", *RULE) == 2
    told = capsys.readouterr().err
    assert "its roles are bot, model, prompter; say which" in told
    assert "--role-names assistant=NAME" in told
    assert not (tmp_path / "none" / "data").exists()
    assert cli("score", source, "--output", tmp_path / "scores", *RULE[:2], *RULE[-2:]) == 0
    names = "assistant=model, user=prompter,assistant=bot"
    found = edited(tmp_path, chats, "--role-names", names)
    for before, after in zip(chats, found, strict=True):
        assert [m["from"] for m in after] == ["prompter", "model", "bot"]
        assert after[0] == before[0]
        assert all(a != b for a, b in zip(after[1:], before[1:], strict=True))
    for wrong, line in (
        ("model", "'model' is no ROLE=NAME"),
        ("asistant=x", "did you mean 'assis"),
    ):
        output = tmp_path / wrong
        assert cli("edit", source, "--output", output, *RULE, "--role-names", wrong) == 2
        assert line in capsys.readouterr().err


def call(**arguments) -> dict:
    return {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}


TOOLS = [
    [
        {"role": "user", "content": [{"type": "text", "text": corpus_text(1)}]},
        {"role": "assistant", "content": None, "tool_calls": [call(city="Bergen", ü=[1, {}])]},
        {"role": "tool", "tool_call_id": "1", "content": corpus_text(2)},
        {"role": "assistant", "content": corpus_text(3)},
    ],
    [
        {"role": "user", "content": corpus_text(4)},
        {"role": "assistant", "tool_calls": [call(n=2**60), call()]},
        {"role": "function", "name": "f", "content": None},
        {"role": "assistant", "content": [
            {"type": "text", "text": corpus_text(5)},
            {"type": "image_url", "image_url": {"url": "x"}},
            {"type": "thinking", "text": corpus_text(6)},
            corpus_text(7),
        ], "tool_calls": []},
    ],
    [
        {"role": "user", "content": ""},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
    ],
]  # fmt: skip


def test_tool_calls_pass_through_and_spoken_text_is_edited(tmp_path):
    found = edited(tmp_path, TOOLS)
    assert found[0][:3] == TOOLS[0][:3]
    assert found[1][:3] == TOOLS[1][:3]
    assert found[2] == TOOLS[2]
    assert found[0][3].keys() == {"role", "content"}
    assert found[0][3]["content"] != corpus_text(3)
    parts, before = found[1][3]["content"], TOOLS[1][3]["content"]
    assert parts[1:3] == before[1:3]
    assert parts[0] == {"type": "text", "text": parts[0]["text"]} != before[0]
    assert isinstance(parts[3], str)
    assert parts[3] != before[3]


def weighted(number: int) -> list[dict]:
    """Messages of which only responses have a weight, and one a name."""
    return [
        {"role": "user", "content": corpus_text(number), **({} if number else {"name": "Ana"})},
        {"role": "assistant", "content": corpus_text(number + 20), "weight": number % 2},
        {"role": "user", "content": "?"},
        {"role": "assistant", "weight": 1, "content": corpus_text(number + 40)},
    ]


def test_messages_of_different_keys_are_read_by_datasets_as_dictionaries(tmp_path, capsys):
    from datasets import load_dataset

    source = tmp_path / "in"
    source.mkdir()
    for first in (0, 4):  # of which only the first has names
        records = [{"id": f"{i}", "chat": weighted(i)} for i in range(first, first + 4)]
        (source / f"{first}.jsonl").write_text(lines(records))
    for output, *options in (("one",), ("two", "--workers", "2")):
        folder = tmp_path / output
        assert cli("edit", source, "--output", folder, *RULE, "--generations", "2", *options) == 0
        assert "JSON text" not in capsys.readouterr().out
    for path in (tmp_path / "one").glob("*/*.parquet"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes()
    rows = load_dataset(str(tmp_path / "two"), split="train", cache_dir=str(tmp_path / "cache"))
    keys = ["role", "content", "name", "weight"]
    for number, chat in enumerate(rows["chat"]):
        for before, after in zip(weighted(number), chat, strict=True):
            assert sorted(after) == sorted(keys)
            wanted = {**dict.fromkeys(keys), **before}
            assert after == {**wanted, "content": after["content"]}
            assert (after != wanted) <= (after["role"] == "assistant")
    assert rows[0]["chat"][1]["content"] != weighted(0)[1]["content"]


def test_keys_that_became_null_are_no_differences(tmp_path, capsys):
    source = tmp_path / "chats.jsonl"
    source.write_text(lines({"id": f"{i}", "chat": weighted(i)} for i in range(3)))
    assert cli("edit", source, "--output", tmp_path / "out", *RULE, "--sampler", "none") == 0
    capsys.readouterr()
    assert cli("diff", source, tmp_path / "out") == 0
    assert capsys.readouterr().out == "0 of 3 documents differ\n"
    again = ("edit", tmp_path / "out" / "data", "--output", tmp_path / "again", *RULE)
    assert cli(*again) == 0
    assert cli("edit", source, "--output", tmp_path / "direct", *RULE) == 0
    assert table_of(tmp_path / "again").equals(table_of(tmp_path / "direct"))


def test_arguments_of_tool_calls_get_no_nulls(tmp_path, capsys):
    chats = [
        [{"role": "user", "content": corpus_text(i)},
         {"role": "assistant", "content": None, "tool_calls": [call(**{name: i})]},
         {"role": "assistant", "content": corpus_text(i + 9)}]
        for i, name in enumerate(["city", "n"])
    ]  # fmt: skip
    found = edited(tmp_path, chats)
    assert [chat[:2] for chat in found] == [chat[:2] for chat in chats]
    told = "written as JSON text: chat (keys of inner dictionaries differ)"
    assert told in capsys.readouterr().out.splitlines()
    same = [[*chat[:1], {**chat[1], "tool_calls": [call(n=1)]}, *chat[2:]] for chat in chats]
    (tmp_path / "same").mkdir()
    found = edited(tmp_path / "same", same)
    assert [message["tool_calls"] for message in found[1]] == [None, [call(n=1)], None]
    assert "JSON text" not in capsys.readouterr().out


def test_chats_in_parquet_as_structs_and_as_json_texts(tmp_path):
    padded = [
        [{"role": "user", "content": "?", "tool_calls": None},
         {"role": "assistant", "content": None, "tool_calls": [{"name": "f", "arguments": "{}"}]},
         {"role": "assistant", "content": corpus_text(1), "tool_calls": None}],
    ]  # fmt: skip
    (after,) = edited(tmp_path, padded, suffix="parquet")
    assert after[:2] == padded[0][:2]
    assert after[2] == {**padded[0][2], "content": after[2]["content"]} != padded[0][2]
    assert table_of(tmp_path / "out").schema.field("chat").type.value_type.num_fields == 3
    folder = tmp_path / "texts"
    folder.mkdir()
    texts = [json.dumps(chat, separators=(",", ":")) for chat in (*TOOLS, [])]
    (after, *_, last, empty) = edited(folder, texts, suffix="parquet")
    assert after[:3] == TOOLS[0][:3]
    assert after[3] != TOOLS[0][3]
    assert (last, empty) == (TOOLS[2], [])
    written = table_of(folder / "out")["chat"].to_pylist()
    assert written[2:] == texts[2:]  # unchanged, to the byte


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": 3},
        {"role": "user"},
        {"from": "gpt", "content": "x"},
        {"role": None, "content": "x"},
        {"role": "assistant", "content": {"text": "x"}},
        "text",
        3,
    ],
)
def test_other_messages_are_refused(message):
    for messages in ([message], {"role": ["user"], "content": ["x"]}, json.dumps([message])):
        with pytest.raises(
            UserError, match=r"r: messages must be a list of \{role, content\} or \{"
        ):
            message_parts(messages, "r", ROLE_NAMES)


def test_responses_go_back_in_order():
    parts = message_parts(TOOLS[1], "r")
    assert [text for text, own in parts if own] == [corpus_text(5), corpus_text(7)]
    after = with_responses(TOOLS[1], ["one", "two"])
    assert message_parts(after, "r") == [parts[0], ("one", True), ("two", True)]
    assert with_responses(TOOLS[1], [corpus_text(5), corpus_text(7)]) == TOOLS[1]


def test_experiments_read_the_same_chats(tmp_path):
    path = tmp_path / "a.jsonl"
    silent = [{"from": "human", "value": "?"}, {"from": "gpt", "value": " "}]
    chats = [*TOOLS, [asked(1), asked(2, "gpt")], silent, [silent[0]], []]
    path.write_text(lines({"chat": chat, "tools": "[]"} for chat in chats))
    skipped: Counter[str] = Counter()
    config = corpus_of(path, "corpus.messages_column=chat")
    documents = list(corpus_stage._documents(config, skipped))
    assert skipped == {"no_response": 3}
    assert [d.id for d in documents] == [f"a.jsonl:{i}" for i in range(4)]
    assert messages_of(documents[0]) == TOOLS[0]
    assert messages_of(documents[1])[2] == {**TOOLS[1][2], "role": "tool"}
    assert messages_of(documents[2]) == TOOLS[2]
    assert documents[3].metadata[MESSAGES] == [
        {"role": "user", "content": corpus_text(1)},
        {"role": "assistant", "content": corpus_text(2)},
    ]  # fmt: skip
    assert documents[2].editable == ()
    path.write_text(lines({"chat": chat} for chat in chats[-3:]))
    with pytest.raises(
        UserError, match=r"no record has a response \(skipped: 3 no_response\); rec"
    ):
        list(corpus_stage._documents(config))


def test_experiments_take_names_of_roles(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(lines([{"chat": [asked(1, "prompter"), asked(2, "model"), asked(3, "bot")]}]))
    own = (path, "corpus.messages_column=chat")
    with pytest.raises(UserError, match=r"unknown role 'prompter'; allowed: system, .*role_names"):
        list(corpus_stage._documents(corpus_of(*own)))
    config = corpus_of(
        *own, "corpus.role_names.user=[prompter]", "corpus.role_names.assistant=[model,bot]"
    )
    (document,) = corpus_stage._documents(config)
    roles = [message["role"] for message in document.metadata[MESSAGES]]
    assert roles == ["user", "assistant", "assistant"]
    assert len(document.editable) == 2
    plain = corpus_stage.stage(corpus_of(*own), EvalConfig(suite=None))
    assert plain.fingerprint != corpus_stage.stage(config, EvalConfig(suite=None)).fingerprint
    with pytest.raises(UserError, match="did you mean 'user'"):
        corpus_of(*own, "corpus.role_names.users=[x]")


def test_messages_of_role_and_content_alone_stay_as_they_were():
    messages = [
        {"role": "user", "content": "a", "name": "n"},
        {"role": "assistant", "content": "b"},
    ]
    document = as_conversation(Document("x", ""), messages, "x")
    assert document.metadata[MESSAGES] == [{"role": "user", "content": "a"}, messages[1]]
    assert (document.text, document.editable) == ("a\n\nb", ((3, 4),))
