"""Folders of models and tokenizers that were tampered with."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from .case import RUN, Case, Command, Copy, Entry, Fifo, Folder, Link, Zeros, removed
from .odd import JSON, LONG
from .tampering import replace_value, tamper

SIZES = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "max_position_embeddings", "head_dim", "bos_token_id", "eos_token_id",
)  # fmt: skip
FIELDS = (
    "model_type", "architectures", "hidden_act", "dtype", "tie_word_embeddings", "rms_norm_eps",
    "auto_map", "rope_parameters", "quantization_config", "attn_implementation",
    "transformers_version", "pad_token_id",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    -1, 0, 1, 10**9, 10**15, 10**30, 1.5, float("nan"), None, "", "x", [], {}, True, [None],
    {"a": 1}, "os:system", "gpt2", "bert", "LlamaForCausalLM", ["No"],
    {"AutoModelForCausalLM": "evil.Model"},
)  # fmt: skip
TOKENIZER = (
    ("normalizer",), ("pre_tokenizer",), ("post_processor",), ("decoder",), ("model",),
    ("model", "vocab"), ("model", "merges"), ("model", "type"), ("added_tokens",),
    ("added_tokens", "*"), ("model", "vocab", "*"), ("added_tokens", "*", "id"),
    ("model", "unk_token"), ("truncation",), ("padding",), ("version",),
)  # fmt: skip
BAD_REGEX = [
    {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    for regex in ("(", "(a+)+$", "[", "\\", "(?<=a+)b", "(?P<x", "a{99999}", "(.*)*b")
]


def _weights(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """An entry that changes the header of a safetensors file."""

    def rewrite(path: Path) -> None:
        content = path.read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return rewrite


def _tensor(random: Random, **fields: Any) -> Callable[[Path], None]:
    def change(header: dict[str, Any]) -> None:
        header[random.choice([name for name in header if name != "__metadata__"])].update(fields)

    return _weights(change)


def _index(*names: str) -> str:
    return json.dumps(
        {
            "metadata": {},
            "weight_map": {f"model.layers.{n}.weight": name for n, name in enumerate(names)},
        }
    )


SHARDS = ("../../outside/canary.txt", "/proc/version", "", ".", "no.safetensors")
PICKLE = b"cos\nsystem\n(S'echo gone > ../outside/canary.txt'\ntR."
EVIL = "import pathlib\npathlib.Path('../outside/canary.txt').write_text('gone')\n"
TEMPLATES = (
    "{{ 1/0 }}", "{% for", "{{ raise_exception('no') }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{% for i in range(10**9) %}x{% endfor %}",
    "{{ messages[99] }}", "{% include '/etc/passwd' %}", "\x00", "",
)  # fmt: skip


def make(random: Random, number: int, prepared: Path) -> Case:
    """A case of the kind."""
    what, turn = number % 8, number // 8
    files: list[tuple[str, Entry]] = [("model", Copy(prepared / "model"))]
    if what == 0:
        field = SIZES[turn % len(SIZES)]
        files.append(
            ("model", replace_value(random, "config.json", VALUES[: 7 + 7 * (turn % 2)], field))
        )
        summary = f"config.json: {field}"
    elif what == 1:
        field = FIELDS[turn % len(FIELDS)]
        files.append(("model", replace_value(random, "config.json", VALUES, field)))
        summary = f"config.json: {field}"
    elif what == 2:
        keys = TOKENIZER[turn % len(TOKENIZER)]
        values = (*BAD_REGEX, *BAD_REGEX) if keys == ("pre_tokenizer",) else VALUES
        files.append(("model", replace_value(random, "tokenizer.json", values, *keys)))
        summary = f"tokenizer.json: {'.'.join(keys)}"
    elif what == 3:
        files.append(
            ("model", replace_value(random, "tokenizer_config.json", (*VALUES, *TEMPLATES), "*"))
        )
        summary = "tokenizer_config.json"
    elif what == 4:
        changes = (
            _tensor(random, dtype="F8"), _tensor(random, shape=[10**9, 10**9]),
            _tensor(random, data_offsets=[0, 2**62]), _tensor(random, shape=[-1]),
            _tensor(random, data_offsets=[8, 0]), _tensor(random, shape=[3]),
            _weights(lambda h: h.clear()),
            _weights(lambda h: h.pop(next(k for k in h if k != "__metadata__"))),
            _weights(lambda h: h.update(__metadata__={"format": 3})),
            _weights(lambda h: h.update(__metadata__={"format": "tf"})),
            _tensor(random, dtype="F16"), _tensor(random, dtype="I64"),
        )  # fmt: skip
        files.append(("model/model.safetensors", changes[turn % len(changes)]))
        summary = f"header of the weights, change {turn % len(changes)}"
    elif what == 5:
        files.append(("model", tamper(random)))
        summary = "a file damaged"
    else:
        places: tuple[tuple[str, Entry], ...] = (
            *(("model.safetensors.index.json", _index(path)) for path in SHARDS),
            ("model.safetensors.index.json", "[]"),
            ("model.safetensors.index.json", '{"weight_map": []}'),
            ("model.safetensors.index.json", '{"weight_map": {"a": 3}}'),
            ("model.safetensors.index.json", LONG), ("pytorch_model.bin", PICKLE),
            ("pytorch_model.bin.index.json", _index("pytorch_model.bin")), ("evil.py", EVIL),
            ("modeling_llama.py", EVIL), ("tokenization_llama.py", EVIL),
            ("model.safetensors", Fifo()), ("config.json", Fifo()), ("tokenizer.json", Zeros()),
            ("tokenizer.json", Folder()), ("model.safetensors", Link("../../outside/canary.txt")),
            ("model.safetensors", Link("model.safetensors")), ("config.json", JSON[-4]),
            ("config.json", "{}"), ("config.json", "[]"), ("tokenizer.json", "{}"),
            ("config.json", Zeros()),
            ("adapter_config.json", '{"base_model_name_or_path": "{outside}"}'),
            ("generation_config.json", "[]"), ("special_tokens_map.json", "[1]"),
            ("added_tokens.json", '{"a": -5}'), ("added_tokens.json", '{"a": 1000000000}'),
            ("spiece.model", b"\xff" * 99), ("tokenizer.model", PICKLE),
            *(("chat_template.jinja", text) for text in TEMPLATES),
            ("model.gguf", b"GGUF" + b"\xff" * 60),
        )  # fmt: skip
        name, entry = places[(turn * 2 + what - 6) % len(places)]
        files += [
            (f"model/{name}", removed),
            (f"model/{name}", entry),
        ]
        if name.endswith("index.json") or name == "pytorch_model.bin":
            files.insert(1, ("model/model.safetensors", removed))
        summary = f"{name} {entry!r}"[:80]
    files.append(("a.jsonl", '{"id": "a", "text": "the quick vaccine query"}\n'))
    model = random.choice(
        ("--prior=model", "--prior=model", "--prior={cwd}/model", "--count-tokens=model")
    )
    more = () if model.startswith("--prior") else ("--prior=table",)
    command = Command(
        ("edit", "a.jsonl", "--output=out", "--max-length=64", model, *more), codes=(0, 1, 2)
    )
    if random.random() < 0.15:
        words = (
            "+exp=cpt_bio",
            "dry_run=true",
            "tracker=none",
            "model.model={cwd}/model",
            "prior=table",
        )
        command = Command(words, RUN)
    return Case(f"models-{number}", summary, (command,), files)
