"""Odd values that several kinds of cases draw from."""

import json
from random import Random
from typing import Any

LONG = "9" * 5000
"""Digits of a number longer than Python converts by default."""

PLAIN = "the quick vaccine query of every clinical cohort, quite a quiet quarter. "

NUMBERS = (
    "nan", "inf", "-inf", "-1", "0", "-0.0", "1", "0.5", "1e-320", "1e23", "1e308", "1e999",
    "2147483648", "9223372036854775808", "1" + "0" * 30, LONG, "1_000", " 7 ", "٣", "0x10", "true",
    "", "-", "1,5", "½", "1e", "--1", "\ud800",
)  # fmt: skip
"""Numbers, near and far, as a user may type them."""

TEXTS = (
    "", " ", "\n", "\0", "a\0b", "\ufeff" + PLAIN, "\u202e" + PLAIN, "\r\n\u2028\x85\x0b\x0c",
    "<|endoftext|><s></s>[INST]", "é" * 50, "e\u0301\u0308\u0323" * 30, "日本語。" * 20,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 9, "\ufffd\uffff\U0010ffff", "q" * 3000,
    "\x1b[2J\x1b]0;title\x07 quick", "{{ x }} {% raw %} ${oc.env:HOME}", "'\"\\`$(touch x)",
    PLAIN * 4, "=cmd|' /C calc'!A0", "---\n- a: &x [*x]", "</script><script>alert(1)</script>",
    "\x9b31mquiet\x9c", "\x08\x08\x7f quite", "%s %d {} %(a)s",
)  # fmt: skip
"""Texts that may confuse a reader, a terminal, a template or a tokenizer."""

NAMES = (
    "a b", "-", "--", "-rf", "--help", "a'b\"c", "a\nb", "a\tb", "日本", "e\u0301", "\udcff\udcfe",
    "\x1b[31mred", "%41", "a;b", "$HOME", "~", "{a}", "[a]", "a*?", "a=b", "a:b", "a,b", "a\\b",
    "#a", "." * 3, " ", "x" * 240, "é" * 115, "CON", "\u202eevil", "file:x", "@x", "a&b",
)  # fmt: skip
"""Names of files that a file system takes."""

KEYS = (
    "id", "text", "metadata", "toedit_editable", "changes", "messages", "prompt", "", " ", "a.b",
    "\0", "\ud800", "file", "row", "document", "position", "old", "new", "__index_level_0__",
    "media", "x" * 3000, "ïd", "text ", "Text", "item", "list.element", "key_value",
)  # fmt: skip
"""Names of columns, some of them ours."""


def nested(depth: int, kind: str = "[") -> str:
    """JSON of lists or objects inside each other."""
    return "[" * depth + "]" * depth if kind == "[" else '{"a":' * depth + "1" + "}" * depth


JSON = (
    "null", "true", "false", "0", "-0", "-0.0", "1.5", "NaN", "Infinity", "-Infinity", "1e999",
    "1e-999", LONG, f"-{LONG}", f"0.{LONG}", "9223372036854775808", "18446744073709551616", '""',
    '"\\ud800"', '"\\u0000"', '"\\udc00\\ud800"', "[]", "{}", "[[]]", "[{}]", '{"":1}',
    '[1,"a",null]', '[{"a":1},{"a":"x"}]', '{"a":1,"a":2}', '{"text":{"text":"a"}}',
    '{"bytes":null,"path":"/etc/hostname"}', '{"\\ud800":1}', '{"\\u0000":1}',
    '"9999-12-31T23:59:59"', '"0000-00-00"', '"-99999-01-01"', nested(60), nested(60, "{"),
    nested(400), nested(900), nested(900, "{"), nested(50_000), nested(50_000, "{"),
    '"' + "y" * 200_000 + '"', "[" + "1," * 50_000 + "1]",
)  # fmt: skip
"""JSON values, some of which no reader keeps exactly."""

BROKEN = (
    "{", "}", "[1]", "1", "null", '"x"', "{'text': 'a'}", '{"text": "a",}', '{"text" "a"}',
    '{"text": "a"} {"text": "b"}', '{"text": "a"} // c', '{"text": undefined}', '{"text": "\n"}',
    '{"text": "\\x"}', '{"text": "\\u12"}', "{text: a}", '{"text": 01}', '{"text": "a"',
    "[" * 100_000, '{"a":' * 100_000, '{"text": +1}', '{"text": .5}', "\0", "PAR1",
    "\ufeff\ufeff{}",
)  # fmt: skip
"""Lines that are no JSON objects."""


def value(random: Random, depth: int = 2) -> Any:
    """A random JSON value of Python."""
    scalars = [None, True, 0, -1, 2.5, 10**25, 1e308, "", random.choice(TEXTS), "d1"]
    if not depth or random.random() < 0.6:
        return random.choice(scalars)
    inner = [value(random, depth - 1) for _ in range(random.randrange(4))]
    keys = [random.choice(KEYS[:16]) for _ in inner]
    return inner if random.random() < 0.5 else dict(zip(keys, inner, strict=True))


def tampered(random: Random, tree: Any) -> Any:
    """A copy of a JSON value with one node, at a random place, replaced, removed or added."""
    copy = json.loads(json.dumps(tree))
    holder, node = None, copy
    key: Any = None
    while isinstance(node, dict | list) and node and (holder is None or random.random() < 0.75):
        key = random.choice([*node] if isinstance(node, dict) else range(len(node)))
        holder, node = node, node[key]
    if holder is None:
        return value(random)
    action = random.randrange(5)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, dict):
        holder[random.choice(KEYS)] = value(random)
    elif action == 2 and isinstance(node, str):
        holder[key] = random.choice(PATHS)
    else:
        holder[key] = value(random)
    return copy


PATHS = (
    "", ".", "..", "/proc/none", "../outside/canary.txt", "../outside", "{outside}/canary.txt",
    "{outside}", "~", "~/canary.txt", "{home}/canary.txt", "a/../../outside/canary.txt", "a\0b",
    "x" * 300, "/proc/self/mem", "\udcff", "evaluate/../../../outside", "a//b", "a/./b", "-",
    "file:///x", "http://127.0.0.1:1/x", "//x", "nul\n", "*", "{outside}/deep",
)  # fmt: skip
"""Paths, of which several lead out of the folder that they are written in. None names a folder that
may not be emptied, since a fault might."""
