"""A folder that is watched: what a command changed where it may not, and secrets it wrote down."""

import hashlib
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

SECRETS = {
    "HF_TOKEN": "hf_PlantedByTheCampaign0123456789abcd",
    "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
    "AWS_SECRET_ACCESS_KEY": "planted/By+The/Campaign0123456789abcdefg",
    "OPENAI_API_KEY": "sk-proj-PlantedByTheCampaign0123456789",
}
"""Variables of the environment whose values no command may write or print."""

NAMED = "hf_PlantedInTheNameOfAFile0123456789ab"
"""A secret in the names of files and in addresses; it may come back in unfinished work and in the
ids of documents, which name their file."""

CANARIES = (
    "canary.txt", "outside/canary.txt", "outside/deep/canary.txt", "home/canary.txt",
    "home/.config/canary.txt", "tmp/canary.txt", "cwd/canary.txt",
)  # fmt: skip

State = dict[str, tuple[str, ...]]
"""What every path is: its type, its content's hash, its time of change."""


class Sandbox:
    """The folders of a case in a new folder: cwd, home, tmp, and outside, which no case names.

    Attributes:
        root: their parent, alone in a folder that is watched too.
        cwd: the working folder of the commands.
    """

    def __init__(self, folder: Path) -> None:
        self.root, self.cwd = folder / "sandbox", folder / "sandbox/cwd"
        for name in CANARIES:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(f"the canary {name}\n")

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
        problems = [f"created '../{p.name}'" for p in self.root.parent.iterdir() if p != self.root]
        for path in sorted({*before, *after}):
            inside = any(path.startswith(f"{name}/") for name in own) and path not in CANARIES
            if path in own or inside or before.get(path) == after.get(path):
                continue
            verb = (
                "created" if path not in before else "removed" if path not in after else "changed"
            )
            problems.append(f"{verb} {path!r}")
        return problems

    def leaks(self, before: State) -> list[str]:
        """Files written since a state that hold a secret."""
        found = []
        for path, state in self.state().items():
            if state[0] == "file" and before.get(path) != state:
                content = Path(os.fsencode(self.root).decode(), path).read_bytes()
                has_ids = any(part in path for part in (".work/", "/data/", "/changes/"))
                named = [] if has_ids else [NAMED]
                if any(secret.encode() in content for secret in [*SECRETS.values(), *named]):
                    found.append(f"wrote a secret into {path!r}")
        return found

    def remove(self) -> None:
        """Remove the folder, whatever its files' permissions."""
        shutil.rmtree(self.root.parent, ignore_errors=True)


def _state(path: bytes) -> tuple[str, ...]:
    state = os.lstat(path)
    if stat.S_ISLNK(state.st_mode):
        return ("link", os.fsdecode(os.readlink(path)))
    if stat.S_ISREG(state.st_mode):
        with open(path, "rb") as handle:
            return ("file", hashlib.file_digest(handle, "md5").hexdigest(), str(state.st_mtime_ns))
    return ("folder",) if stat.S_ISDIR(state.st_mode) else ("other", str(state.st_mode))
