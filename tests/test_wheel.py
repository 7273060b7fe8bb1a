"""What ``pip install`` gives: ``toedit`` alone, which needs no clone."""

import os
import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_wheel_holds_toedit_alone_and_edits_without_a_clone(tmp_path):
    source, wheels, target = (tmp_path / name for name in ("source", "wheels", "installed"))
    shutil.copytree(ROOT / "toedit", source / "toedit")  # a build leaves files beside its source
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", wheels, source], check=True)
    (wheel,) = wheels.glob("toedit-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"toedit"}
    assert "toedit/diff.html" in names  # the page of changes
    subprocess.run([*pip, "install", "-q", "--no-deps", "--target", target, wheel], check=True)
    # An environment with the dependencies of this one, and the wheel in place of the clone.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    paths = [str(target), *site.getsitepackages()]
    (packages / "wheel.pth").write_text("\n".join(paths) + "\n")

    def python(*words: str) -> subprocess.CompletedProcess:
        command = [tmp_path / "env" / "bin" / "python", *words]
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        return subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True)

    missing = python("-c", "import experiments")
    assert "No module named 'experiments'" in missing.stderr
    (tmp_path / "text.jsonl").write_text('{"text": "The heart pumps blood through the body."}\n')
    edit = python("-m", "toedit", "edit", "text.jsonl", "--output", "edited", "--preset", "forced")
    assert edit.returncode == 0, edit.stderr
    assert list((tmp_path / "edited").rglob("*.parquet"))
