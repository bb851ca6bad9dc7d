"""The wheel holds what the checkout holds: three packages, their data files, and no tests.

.venv/bin/python -m pytest tests/test_packaging.py
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("suite", "generators", "tasks")
DESCRIBED = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built without a network from a copy, so that the checkout stays clean."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in DESCRIBED:
        shutil.copy(ROOT / name, copy)
    for name in (*PACKAGES, "tests"):
        shutil.copytree(
            ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.part")
        )
    out = copy / "wheels"
    command = [sys.executable, "-m", "pip", "wheel", str(copy), "--wheel-dir", str(out), "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=copy)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    (built,) = out.glob("sourcebench-*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_every_file_of_the_three_packages(wheel: zipfile.ZipFile) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".part"
    }
    assert {"suite/conf/config.yaml", "tasks/base.py", "generators/base.py"} <= wanted
    missing = sorted(wanted - set(wheel.namelist()))
    assert not missing, f"not in the wheel: {missing}; list them under package-data in pyproject.toml"


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    (described,) = (top for top in tops if top.endswith(".dist-info"))
    assert tops == {*PACKAGES, described}, "a top-level `tests` would shadow other packages' tests"


def test_the_wheel_installs_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    (points,) = (name for name in names if name.endswith(".dist-info/entry_points.txt"))
    assert "sourcebench = suite.cli:main" in wheel.read(points).decode()
    assert any(name.endswith("/LICENSE") for name in names)
    (described,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(described).decode())
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"


def test_constraints_pin_every_dependency_to_one_version() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", pin) for pin in pins), (
        "name==version"
    )
    pinned = [comparable(pin.split("==")[0]) for pin in pins]
    assert len(set(pinned)) == len(pinned), "a name is pinned twice"
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {comparable(re.split(r"[<>=!~\[; ]", line)[0]) for line in asked}
    assert names <= set(pinned), f"not in constraints.txt: {sorted(names - set(pinned))}"


def comparable(name: str) -> str:
    """A distribution's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
