"""The doctor tells fit from unfit, with a cure; a broken check is a finding and hides no other.

.venv/bin/python -m pytest tests/test_doctor.py
"""

from __future__ import annotations

import importlib
import sys
import types
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from suite import doctor
from suite.doctor import Check, checks


def by_name(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found}


def folders(place: Path) -> dict[str, Path]:
    return {name: place / name for name in ("runs", "cache", "results")}


def test_every_line_is_ok_or_has_a_cure(tmp_path: Path) -> None:
    found = checks(tmp_path / "nowhere", {**folders(tmp_path), "runs": Path("/proc/runs")})
    assert len({check.name for check in found}) == len(found)
    for check in found:
        assert check.detail
        assert check.ok or check.cure, check


def test_this_machine_is_fit_for_the_tests(tmp_path: Path) -> None:
    found = by_name(checks(None, folders(tmp_path)))
    for name in ("python", "packages", "torch", "torch pair", "own packages", "sound files"):
        assert found[name].ok, found[name]
    assert found["runs folder"].ok
    assert not (tmp_path / "runs").exists(), "looking must not leave folders behind"


def test_no_data_folder_is_a_fact_and_a_wrong_one_a_failure(tmp_path: Path) -> None:
    assert by_name(checks(None, {}))["data"].ok
    wrong = by_name(checks(tmp_path / "nowhere", {}))["data"]
    assert not wrong.ok
    assert "SOURCEBENCH_DATA" in wrong.cure


def test_data_sets_are_found_by_their_folders(tmp_path: Path) -> None:
    (tmp_path / "ESC-50-master").mkdir()
    found = by_name(checks(tmp_path, {}))["data"]
    assert found.ok
    assert "esc50" in found.detail.split("not there")[0]


def test_a_folder_that_is_a_file_is_named_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    found = by_name(checks(None, folders(tmp_path)))["cache folder"]
    assert not found.ok
    assert str(tmp_path / "cache") in found.detail
    assert "paths.cache" in found.cure


def test_an_old_dependency_is_named_with_the_version_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "0.4.1" if name == "timm" else installed(name)
    )
    found = by_name(checks(None, {}))["packages"]
    assert not found.ok
    assert "timm 0.4.1 is older than 1." in found.detail


def test_a_missing_dependency_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = metadata.version

    def version(name: str) -> str:
        if name == "soxr":
            raise metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(metadata, "version", version)
    assert "soxr is not installed" in by_name(checks(None, {}))["packages"].detail


def test_a_failing_import_is_a_finding_and_the_other_checks_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    importing = importlib.import_module

    def broken(name: str, package: str | None = None) -> Any:
        if name == "timm":  # what a torch without its torchvision says (design, trap 1)
            raise RuntimeError("operator torchvision::nms does not exist")
        return importing(name, package)

    monkeypatch.setattr(importlib, "import_module", broken)
    found = by_name(checks(None, folders(tmp_path)))
    assert not found["torch pair"].ok
    assert "operator torchvision::nms does not exist" in found["torch pair"].detail
    assert "constraints.txt" in found["torch pair"].cure
    assert found["sound files"].ok


def test_a_foreign_package_named_tasks_is_found_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    foreign = types.ModuleType("tasks")
    foreign.__file__ = str(tmp_path / "tasks" / "__init__.py")
    monkeypatch.setitem(sys.modules, "tasks", foreign)
    found = by_name(checks(None, {}))["own packages"]
    assert not found.ok
    assert str(tmp_path / "tasks") in found.detail


def test_a_full_disk_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=10**8))
    found = by_name(checks(None, folders(tmp_path)))["disk"]
    assert not found.ok
    assert "0.1 GB free" in found.detail


@pytest.mark.parametrize(
    ("older", "newer"), [("2.9.1", "2.11"), ("1.0.18", "1.0.19"), ("2.14.1+cpu", "2.15.0+cu132")]
)
def test_versions_compare_by_their_numbers(older: str, newer: str) -> None:
    assert doctor.numbers(older) < doctor.numbers(newer)
    assert doctor.numbers("3.0") == doctor.numbers("3.0.0+local")
