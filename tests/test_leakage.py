"""Nothing that a task tests is learnt from, and a broken file in the middle costs no step.

.venv/bin/python -m pytest tests/test_leakage.py
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import soundfile
import tiny_runs
import torch

import generators
from generators.drawer import BadData
from suite import cli, leakage
from suite.checkpoint import ENVIRONMENT, STATE, WEIGHTS
from tasks.base import Task, measured_split_hash

PARTS = ("train", "valid", "test")


def sound(seed: int, seconds: float = 0.5, rate: int = 16000) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate))
    return noise.astype(np.float32)


@dataclass(kw_only=True)
class Small(Task, name="small"):
    """Nine clips, three in each part, named as Freesound does."""

    licence: ClassVar[str] = "CC0"
    reference: ClassVar[str] = "-"
    folder: ClassVar[str] = "small"
    split_hash: ClassVar[str] = ""

    @property
    def classes(self) -> tuple[str, ...]:
        return ("a", "b", "c")

    def read_clips(self) -> pd.DataFrame:
        assert self.data is not None
        names = sorted(path.name for path in (self.data / self.folder).glob("*.wav"))
        fold = [PARTS[int(name.split("__")[0]) % 3] for name in names]
        columns = {"clip": names, "label": [0] * len(names), "fold": fold, "group": names}
        return pd.DataFrame({**columns, "path": names})

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        raise AssertionError("files are compared, not what a task makes of them")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder whose only task is ``small``."""
    folder = tmp_path / "data" / "small"
    folder.mkdir(parents=True)
    for number in range(9):
        soundfile.write(folder / f"{number}__someone__clip.wav", sound(number), 16000, subtype="PCM_16")
    monkeypatch.setattr(
        Small, "split_hash", measured_split_hash(Small(data=folder.parent).read_clips())
    )
    catalogue = SimpleNamespace(get=lambda name: Small)
    registry = SimpleNamespace(
        names=lambda: ["small"], catalogue=catalogue, create=lambda name, **fields: Small(**fields)
    )
    monkeypatch.setattr(leakage, "tasks", registry)
    return folder.parent


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Twelve other sounds, as long as the clips of the task."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    for number in range(12):
        soundfile.write(folder / f"{number:02d}.wav", sound(100 + number), 16000, subtype="PCM_16")
    return folder


def create(folder: Path, **fields: Any) -> Any:
    fields = {"seconds": 0.25, "cache": folder.parent / "cache", "workers": 1, **fields}
    return generators.create("recordings", folder=folder, **fields)


def check(source: Any, data: Path, pooled: int = 0) -> dict[str, Any]:
    return leakage.check(source, data, data.parent / "cache", pooled)


def plant(data: Path, sounds: Path, number: int, name: str) -> None:
    """Copy clip ``number`` of the task under another name and in another format."""
    samples, rate = soundfile.read(data / "small" / f"{number}__someone__clip.wav", dtype="int16")
    soundfile.write(sounds / name, samples, rate)


def test_other_sounds_may_be_learnt_from(data: Path, sounds: Path) -> None:
    found = check(create(sounds), data)["leakage"]
    assert found["files_compared"] == 12
    assert found["test_clips"] == {"small": 3}
    assert found["shared_freesound_ids"] == {}


@pytest.mark.parametrize("name", ["renamed.flac", "deeper.aiff", "06x.wav"])
def test_a_test_clip_is_refused_under_any_name(data: Path, sounds: Path, name: str) -> None:
    plant(data, sounds, 5, name)
    message = rf"(?s){name} is a test clip of small, fold test: 5__someone__clip\.wav.*source\.manifest"
    with pytest.raises(BadData, match=message):
        check(create(sounds), data)


def test_clips_that_train_a_probe_may_be_learnt_from(data: Path, sounds: Path) -> None:
    for number in (0, 3, 1):
        plant(data, sounds, number, f"planted{number}.flac")
    assert check(create(sounds), data)["leakage"]["files_compared"] == 15


def test_five_of_many_are_named(data: Path, sounds: Path) -> None:
    for number in (2, 5, 8):
        for copy in ("flac", "wav", "aiff"):
            plant(data, sounds, number, f"copy{number}.{copy}")
    with pytest.raises(BadData, match=r"(?s)^9 files .* and 4 more"):
        check(create(sounds), data)


def test_decoded_ahead_the_files_of_a_pool_are_compared_before(data: Path, sounds: Path) -> None:
    plant(data, sounds, 5, "planted.flac")
    source = create(sounds, decode="ahead")
    drawn = source.parameters(torch.arange(64))["file"].tolist()
    first = drawn.index(source.files.names().index("planted.flac"))
    assert first > 0
    assert check(create(sounds, decode="ahead"), data, first)["leakage"]["files_compared"] > 0
    with pytest.raises(BadData, match=r"planted\.flac is a test clip"):
        check(create(sounds, decode="ahead"), data, first + 1)


@pytest.mark.parametrize("expected", [True, False])
def test_decoded_ahead_others_are_compared_when_they_are_read(
    data: Path, sounds: Path, expected: bool
) -> None:
    plant(data, sounds, 5, "planted.flac")
    source = create(sounds, decode="ahead", on_error="skip")  # what a task tests is never skipped
    drawn = source.parameters(torch.arange(64))["file"].tolist()
    planted = source.files.names().index("planted.flac")
    check(source, data)
    others = [index for index, number in enumerate(drawn) if number != planted]
    if expected:
        source.expect(range(64))
    source.batch(others)
    with pytest.raises(BadData, match=r"planted\.flac is a test clip of small, fold test"):
        source.sample(drawn.index(planted))


def test_the_parts_of_a_mixture_are_compared_too(data: Path, sounds: Path) -> None:
    plant(data, sounds, 5, "planted.flac")
    fields = {"folder": str(sounds), "seconds": 0.25}
    mixture = generators.create(
        "mixture", parts={"noise": 1, "recordings": fields}, cache=data.parent / "cache"
    )
    with pytest.raises(BadData, match=r"planted\.flac"):
        check(mixture, data)


def test_sources_without_recordings_have_nothing_to_compare(data: Path) -> None:
    assert check(generators.create("noise"), data) == {}
    assert leakage.facts(generators.create("noise")) == {}


def test_without_data_there_is_nothing_to_compare_with(sounds: Path, tmp_path: Path) -> None:
    found = check(create(sounds), tmp_path / "nowhere")["leakage"]
    assert found["test_clips"] == {}


def test_hashes_are_kept_until_a_file_changes(
    data: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    compute = leakage.hash_and_length
    monkeypatch.setattr(
        leakage, "hash_and_length", lambda path: hashed.append(path.name) or compute(path)
    )
    check(create(sounds), data)
    assert hashed == [f"{number}__someone__clip.wav" for number in (2, 5, 8)]
    check(create(sounds), data)
    assert len(hashed) == 3
    soundfile.write(data / "small" / "5__someone__clip.wav", sound(77, 0.4), 16000)
    plant(data, sounds, 5, "planted.flac")
    with pytest.raises(BadData, match="planted"):
        check(create(sounds), data)
    assert hashed[3:] == ["5__someone__clip.wav"]
    (kept,) = (data.parent / "cache" / "tested").glob("*.json")
    kept.write_text(kept.read_text()[:50])
    with pytest.raises(BadData, match="planted"):
        check(create(sounds), data)
    assert len(hashed) == 7


def test_a_task_that_cannot_be_read_is_said_and_remembered(data: Path, sounds: Path) -> None:
    for number in (1, 4, 7):
        (data / "small" / f"{number}__someone__clip.wav").unlink()
    with pytest.warns(UserWarning, match="task small: not compared .*no clip of"):
        found = check(create(sounds), data)["leakage"]
    assert "no clip of" in found["tasks_not_compared"]["small"]


def test_partial_data_are_compared_too(data: Path, sounds: Path) -> None:
    (data / "small" / "4__someone__clip.wav").unlink()
    assert sum(check(create(sounds), data)["leakage"]["test_clips"].values()) in (2, 3)


# ---------------------------------------------------------------------------------------------------
# Freesound


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("ESC-50-master/audio/1-100032-A-0.wav", "100032"),
        ("UrbanSound8K/audio/fold1/102106-3-0-12.wav", "102106"),
        ("sounds/442789__lena-orsa__happy-music.wav", "442789"),
        ("16000/fold00/224038__akshaylaya__cha-b-004.flac", "224038"),
        ("FSD50K.dev_audio/64760.wav", "64760"),
        ("FSD50K/clips/64760.wav", "64760"),
        ("clips/64760.wav", None),
        ("audio/8-100032-A-0.wav", None),
        ("sounds/take-1-2-3.wav", None),
        ("speech/0a7c2a8d_nohash_0.wav", None),
    ],
)
def test_freesound_ids_are_read_from_names(name: str, identifier: str | None) -> None:
    assert leakage.freesound_id(PurePath(name)) == identifier


def test_shared_freesound_ids_are_said_and_remembered(data: Path, sounds: Path) -> None:
    (sounds / "00.wav").rename(sounds / "1-4-B-7.wav")  # Freesound sound 4
    (sounds / "01.wav").rename(sounds / "7__someone__else.wav")
    (sounds / "02.wav").rename(sounds / "1234__someone__else.wav")
    with pytest.warns(UserWarning, match="2 Freesound sounds .* also in task small: 4, 7"):
        found = check(create(sounds), data)
    assert found["leakage"]["shared_freesound_ids"] == {"small": {"count": 2, "ids": ["4", "7"]}}


def test_a_manifest_s_columns_name_freesound_ids_too(data: Path, sounds: Path) -> None:
    rows = ["file,fsID,origin", "00.wav,3,", "01.wav,,8__someone__song.ogg :: by someone", "02.wav,,x"]
    (sounds / "manifest.csv").write_text("\n".join(rows))
    with pytest.warns(UserWarning, match="2 Freesound sounds"):
        found = check(create(sounds), data)
    assert found["leakage"]["shared_freesound_ids"]["small"]["ids"] == ["3", "8"]


# ---------------------------------------------------------------------------------------------------
# In a run


def words(sounds: Path, *more: str) -> tuple[str, ...]:
    return ("source=recordings", f"source.folder={sounds}", "source.seconds=2.5", *more)


def test_a_run_refuses_before_the_first_step_and_remembers_what_it_compared(
    data: Path, sounds: Path, tmp_path: Path
) -> None:
    run = tiny_runs.run(tmp_path, *words(sounds, "pool=2"))
    environment = json.loads((run / ENVIRONMENT).read_text())
    assert environment["leakage"]["test_clips"] == {"small": 3}
    assert environment["recordings"][0]["files"] == 12
    assert environment["torch"] == torch.__version__
    plant(data, sounds, 5, "planted.flac")
    with pytest.raises(BadData, match="planted"):
        tiny_runs.run(tmp_path, *words(sounds, "pool=3"))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / WEIGHTS)


def test_a_broken_file_in_the_middle_keeps_the_steps_before_it(
    data: Path, sounds: Path, tmp_path: Path
) -> None:
    live = words(sounds, "source.decode=ahead", "pool=null", "scale.samples_seen=40")
    live += ("frontend.statistics=fixed", "frontend.mean=-5.0", "frontend.std=4.0")
    drawn = create(sounds, seconds=2.5).parameters(torch.arange(64))["file"].tolist()
    late = next(number for number in range(12) if number in drawn[16:40] and number not in drawn[:16])
    broken = sounds / f"{late:02d}.wav"
    content = broken.read_bytes()
    broken.write_bytes(b"not a sound")
    with pytest.warns(UserWarning, match="The next file stands in for it"):
        whole = tiny_runs.run(tmp_path / "skipping", *live, "source.on_error=skip")
    environment = json.loads((whole / ENVIRONMENT).read_text())
    assert list(environment["recordings"][0]["unusable"]) == [f"{late:02d}.wav"]
    broken.write_bytes(content)
    fixed = weights(tiny_runs.run(tmp_path / "fixed", *live))
    broken.write_bytes(b"not a sound")
    with pytest.raises(BadData, match=rf"{late:02d}\.wav cannot be decoded"):
        tiny_runs.run(tmp_path / "broken", *live)
    (state,) = (tmp_path / "broken" / "runs").glob(f"*/{STATE}")
    assert 0 < torch.load(state, weights_only=True)["step"] < 5
    broken.write_bytes(content)
    continued = weights(tiny_runs.run(tmp_path / "broken", *live))
    assert all(torch.equal(continued[name], fixed[name]) for name in fixed)


def test_a_warning_is_one_line_without_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back at the end
    assert cli.main(["--version"]) == 0
    warnings.showwarning("3 files are left out", UserWarning, "source.py", 7)
    assert capsys.readouterr().err == "warning: 3 files are left out\n"
    warnings.showwarning("use that instead", DeprecationWarning, "source.py", 7)
    assert capsys.readouterr().err.startswith("source.py:7: DeprecationWarning: use that instead")
