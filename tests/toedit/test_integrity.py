"""A folder of the cache is used as it was made, and only if nobody else can have written it."""

import os
import shutil
from pathlib import Path

import pytest

from toedit import embedded
from toedit.errors import UserError
from toedit.integrity import HASHES

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def make(folder: Path) -> None:
    (folder / "weights").mkdir()
    (folder / "weights" / "layer.bin").write_bytes(bytes(range(256)))
    (folder / "config.json").write_text("{}")


@pytest.fixture()
def made(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(embedded.CACHE_VARIABLE, str(tmp_path / "cache"))
    return embedded.once("model", make)


def again() -> Path:
    def never(folder):
        raise AssertionError("made twice")

    return embedded.once("model", never)


def keep_times(path: Path) -> None:
    """Change a byte, and set size and time of the last change as they were."""
    state, content = path.stat(), path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def replace_by_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to(path.with_name("moved"))


CHANGES = {
    "bytes": lambda f: (f / "config.json").write_text('{"a": 1}'),
    "times kept": lambda f: keep_times(f / "weights" / "layer.bin"),
    "gone": lambda f: (f / "weights" / "layer.bin").unlink(),
    "added": lambda f: (f / "weights" / "adapter_config.json").write_text("{}"),
    "link": lambda f: replace_by_link(f / "config.json"),
    "linked folder": lambda f: replace_by_link(f),
    "open folder": lambda f: f.chmod(0o777),
    "open file": lambda f: (f / "config.json").chmod(0o666),
    "open cache": lambda f: f.parent.chmod(0o777),
    "hashes": lambda f: (f / HASHES).write_text("[]"),
    "a pipe": lambda f: os.mkfifo(f / "pipe"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_or_open_folder_is_refused_with_a_way_out(made, change):
    CHANGES[change](made)
    with pytest.raises(UserError) as refused:
        again()
    assert str(made.parent) in str(refused.value)
    assert "set TOEDIT_CACHE=FOLDER" in str(refused.value)


@root_only
@pytest.mark.parametrize("part", [".", "weights", "weights/layer.bin", ".."])
def test_what_belongs_to_another_user_is_refused(made, part):
    os.chown(made / part, 4321, -1)
    with pytest.raises(UserError, match="belongs to user 4321"):
        again()


@root_only
def test_a_group_of_others_may_not_write(made):
    os.chown(made, -1, 4321)
    made.chmod(0o775)
    with pytest.raises(UserError, match="can be written by a group"):
        again()


def test_a_copied_or_linked_cache_and_an_open_tmp_are_used(made, tmp_path, monkeypatch):
    made.parent.chmod(0o1777)  # as /tmp
    assert again() == made
    shutil.copytree(made.parent, tmp_path / "copy")
    (tmp_path / "copy").chmod(0o755)
    (tmp_path / "link").symlink_to(tmp_path / "copy")
    for name in ("copy", "link"):
        monkeypatch.setenv(embedded.CACHE_VARIABLE, str(tmp_path / name))
        assert again() == tmp_path / name / "model"
    (made / ".nfs0001").write_text("")  # of the file system
    monkeypatch.setenv(embedded.CACHE_VARIABLE, str(made.parent))
    assert again() == made


def test_a_folder_of_an_earlier_version_is_recorded_when_it_is_used(made):
    (made / HASHES).unlink()
    assert again() == made
    (made / "config.json").write_text('{"b": 2}')
    with pytest.raises(UserError, match="was changed since it was made"):
        again()


def test_an_open_umask_makes_a_private_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(embedded.CACHE_VARIABLE, str(tmp_path / "cache"))
    before = os.umask(0)
    try:
        folder = embedded.once("model", make)
    finally:
        os.umask(before)
    for path in (folder.parent, folder, *folder.rglob("*")):
        assert not path.stat().st_mode & 0o022, path
    assert again() == folder
