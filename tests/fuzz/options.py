"""Options of ``toedit edit|score|diff`` with odd values."""

from pathlib import Path
from random import Random

from .case import Case, Command, Entry, Fifo, Folder, Link, Zeros
from .odd import NAMES, NUMBERS, PATHS, PLAIN, TEXTS
from .sandbox import NAMED

SIZES = (
    "--threshold", "--ceiling", "--k", "--top-p", "--temperature", "--delete-below", "--beta",
    "--max-rounds", "--seed", "--generations", "--generation", "--max-length", "--batch-tokens",
    "--workers", "--threads", "--cpus", "--gpus", "--memory-gb", "--shard-size",
)  # fmt: skip
CHOICES = (
    "--preset", "--sampler", "--source-token", "--proposal", "--backend", "--dtype", "--device",
    "--engine", "--invalid-utf8", "--missing-text", "--txt", "--time", "--partition",
)  # fmt: skip
COLUMNS = (
    "--text-column", "--id-column", "--messages-column", "--prompt-column", "--role-names",
    "--license", "--revision",
)  # fmt: skip
SWITCHES = (
    "--force",
    "--strict",
    "--autoregressive",
    "--rescore",
    "--dry-run",
    "--compile",
    "--tokens",
)
PLUGINS = (
    "os:getcwd", "subprocess:Popen", "builtins:eval", "builtins:exec", "nowhere:Nothing", ":",
    "os:", ":x", "os.path:join", "a:b:c", "builtins:print", "antigravity:x", "sys:exit",
    "builtins:breakpoint", "builtins:input", "this:s", "os:abort", "posix:_exit", "..a:b",
    "builtins:open", "json:JSONDecodeError", "toedit:nothing", "__main__:x", "typing:Any",
)  # fmt: skip
"""Names of plug-ins, of which none is a sampler or a prior."""
ROLES = (
    "=", "a", "a=b", "assistant=", "=x", "assistant=a,assistant=a", "user=assistant", ",", ",,",
    "assistant=user,user=assistant", "tool=\0", "assistant=" + "x" * 4000, " assistant = a ",
)  # fmt: skip
MODELS = (
    "", " ", ".", "..", "~", "/proc", "empty", "a.jsonl", "no/such", "table=", "table,table",
    "hf:x", "x" * 300, "a\0b", "\udcff", "{outside}", "{home}", "pipe", *PLUGINS,
)  # fmt: skip

FILES: list[tuple[str, Entry]] = [
    ("a.jsonl", "".join(f'{{"id": "d{n}", "text": "{PLAIN}"}}\n' for n in range(3))),
    ("empty", Folder()), ("pipe", Fifo()), ("zeros", Zeros()), ("loop", Link("loop")),
    ("gone", Link("{nowhere}/x")), ("to-outside", Link("../outside")), ("file", "a file"),
    ("full/mine.txt", "mine"),
]  # fmt: skip

OUTPUTS = (
    *PATHS[:16], "pipe", "zeros", "loop", "gone", "to-outside", "file", "file/out", "full", "empty",
    "a.jsonl", "pipe/out", "out/" + "d/" * 200 + "e", "to-outside/canary.txt", "\ud800", " ",
    "{cwd}", *NAMES,
)  # fmt: skip
LOCATION = (
    "", ".", "~", "/proc", "no/such", "http://127.0.0.1:1/a.jsonl", "s3://a/b.jsonl", "hf://x",
    "pipe", f"http://u:{NAMED}@127.0.0.1:1/a.jsonl", "a.jsonl::0", "*.jsonl",
    "x" * 300 + ".jsonl", "x" * 5000, "a\0.jsonl", "\udcff.jsonl", "zeros", "loop", "empty", "file",
    "-", "--", "full", "\ud800.jsonl", "file.jsonl/x", "a.jsonl/", "gone", "/dev/fd/0", "./a.jsonl",
    "{cwd}/a.jsonl",
)  # fmt: skip


def make(random: Random, number: int, prepared: Path) -> Case:
    """A case of the kind: one option in turn has an odd value, others may."""
    verb = random.choice(("edit", "edit", "edit", "score"))
    what, turn = number % 8, number // 8
    inputs, output, prior, options = ["a.jsonl"], "out", "table", []
    if what < 3:
        index = turn * 3 + what
        options = [SIZES[index % len(SIZES)], NUMBERS[index // len(SIZES) % len(NUMBERS)]]
        if options[0] in SIZES[:8]:
            verb = "edit"
    elif what == 3:
        flag = CHOICES[turn % len(CHOICES)]
        options = [
            flag,
            random.choice((*TEXTS[:6], *NUMBERS[:6], *PLUGINS, "none", "cuda:99", "meta")),
        ]
        verb = "edit" if flag in CHOICES[:4] else verb
    elif what == 4:
        flag = COLUMNS[turn % len(COLUMNS)]
        options = [
            flag,
            random.choice(ROLES if flag == "--role-names" else (*TEXTS, *NAMES, "text", "id")),
        ]
    elif what == 5:
        output = OUTPUTS[turn % len(OUTPUTS)]
    elif what == 6:
        prior = MODELS[turn % len(MODELS)]
    else:
        inputs = [LOCATION[turn % len(LOCATION)]]
    if random.random() < 0.2:
        options += [
            random.choice(SIZES[:8] if verb == "edit" else SIZES[11:]),
            random.choice(NUMBERS),
        ]
    if random.random() < 0.2:
        usual = ("--force", "--dry-run") if verb == "score" else SWITCHES[:5]
        options.append(random.choice(usual))
    arguments = [verb, *inputs, f"--output={output}", f"--prior={prior}"]
    arguments += [f"{a}={b}" for a, b in zip(options[::2], options[1::2], strict=False)]
    arguments += options[len(options) // 2 * 2 :]
    if what == 7 and random.random() < 0.4:
        page = random.choice(OUTPUTS)
        arguments = ["diff", "a.jsonl", inputs[0], f"--html={page}"]
        arguments += random.choice(([], [f"--limit={random.choice(NUMBERS)}"]))
        output = page
    # A leading ~ may be the home folder or a name; folders on the way may be made.
    writable = ("out", "a", "~", output, output.replace("~", "../home", 1))
    summary = " ".join(
        word[:40] for word in arguments[1:] if word not in ("a.jsonl", "--prior=table")
    )
    codes = (0, 1, 2, 75)
    return Case(
        f"options-{number}", summary, (Command(tuple(arguments), codes=codes),), FILES, writable
    )
