"""A folder that is watched: what a command changed where it may not, and secrets it wrote down."""

import hashlib
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

SECRET = "planted0Secret1"  # in no text of a case
SECRETS = {
    name: f"{SECRET}-{name.lower()}"
    for name in ("HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY")
}
"""Variables of the environment whose values no command may write or print."""

CANARIES = ("canary.txt", "outside/canary.txt", "outside/deep/canary.txt", "home/canary.txt",
            "home/.config/canary.txt", "tmp/canary.txt", "cwd/canary.txt")  # fmt: skip

State = dict[str, tuple[str, ...]]
"""What every path is: its type, its content's hash, its time of change."""


class Sandbox:
    """The folders of a case below ``root``: cwd, home, tmp, and outside, which is nobody's.

    Attributes:
        root: the folder.
        cwd: the working folder of the commands.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.cwd = root, root / "cwd"
        for name in CANARIES:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(f"the canary {name}\n")

    def environment(self) -> dict[str, str]:
        """Variables of the commands."""
        home, tmp = str(self.root / "home"), str(self.root / "tmp")
        return {
            **SECRETS, "HOME": home, "TMPDIR": tmp, "HF_HOME": f"{home}/hf",
            "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "WANDB_MODE": "offline",
            "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
        }  # fmt: skip

    def fill(self, text: str) -> str:
        """An argument with the sandbox's folders in place of their names."""
        for name in ("cwd", "outside", "home"):
            text = text.replace(f"{{{name}}}", str(self.root / name))
        return text

    def state(self) -> State:
        """Every path below the root and what it is; links are not followed."""
        found: State = {}
        for folder, folders, files in os.walk(os.fsencode(self.root)):
            for name in (*folders, *files):
                path = os.path.join(folder, name)
                with suppress(FileNotFoundError):
                    relative = os.path.relpath(path, os.fsencode(self.root))
                    found[os.fsdecode(relative)] = _state(path)
        return found

    def changes(self, before: State, writable: tuple[str, ...]) -> list[str]:
        """Changes since a state outside the paths that may be written, one phrase each.

        A canary inside such a path may not change either.
        """
        after = self.state()
        own = [os.path.normpath(f"cwd/{name}") for name in writable]
        problems = []
        for path in sorted({*before, *after}):
            inside = any(path.startswith(f"{name}/") for name in own) and path not in CANARIES
            if path in own or inside or before.get(path) == after.get(path):
                continue
            verb = "created" if path not in before else "removed" if path not in after else "changed"
            problems.append(f"{verb} {path!r}")
        return problems

    def leaks(self, before: State) -> list[str]:
        """Files written since a state that hold a secret."""
        found = []
        for path, state in self.state().items():
            if state[0] == "file" and before.get(path) != state:
                content = Path(os.fsencode(self.root).decode(), path).read_bytes()
                if SECRET.encode() in content:
                    found.append(f"wrote a secret into {path!r}")
        return found

    def remove(self) -> None:
        """Remove the folder, whatever its files' permissions."""
        shutil.rmtree(self.root, ignore_errors=True)


def _state(path: bytes) -> tuple[str, ...]:
    state = os.lstat(path)
    if stat.S_ISLNK(state.st_mode):
        return ("link", os.fsdecode(os.readlink(path)))
    if stat.S_ISREG(state.st_mode):
        with open(path, "rb") as handle:
            return ("file", hashlib.file_digest(handle, "md5").hexdigest(), str(state.st_mtime_ns))
    return ("folder",) if stat.S_ISDIR(state.st_mode) else ("other", str(state.st_mode))
