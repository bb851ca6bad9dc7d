"""How long a task takes before its first clip, to decode, and to be asked again; and how much memory.

make bench, or: SOURCEBENCH_DATA=... pytest tests/benchmarks/test_tasks_speed.py --benchmark-enable.
Data sets of the official size are made up here, of empty sound files: names, tables, lists and folders
are as in the release, so that every guard is at work. What is decoded and evaluated is real. The bars
are 100,000 clips in 3 s, 300 clips/s decoded on two cores, 15 s for a second evaluation, 2 GB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tiny_runs
import torch
from benchmark_table import TASKS, note

import tasks
from suite.configuration import configure, experiment_of
from suite.decode import decode
from suite.evaluate import evaluate
from suite.machine import open_machine
from suite.pretrain import pretrain
from tasks.base import Task
from tasks.fsd50k import FSD50K, FSD50K_CLASSES
from tasks.speech_commands import V2_WORDS, SpeechCommands, official_split

ROOT = Path(__file__).resolve().parent.parent.parent
FEW = 100  # times fewer clips where benchmarks are off
OPENING = 100_000 / 3.0  # clips/s
DECODING = 300.0  # clips/s
SECOND = 15.0  # seconds
MEMORY = 2e9  # bytes


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


# ---------------------------------------------------------------------------------------------------
# Before the first clip


def write_speech_commands(data: Path, share: int) -> None:
    """The folder of Speech Commands V2: 2,618 speakers, whose lists follow the official rule."""
    root = data / SpeechCommands.folder
    for word in V2_WORDS:
        (root / word).mkdir(parents=True)
    speakers: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for number in range(2618):
        speaker = f"{number * 1_640_531 + 7:08x}"
        speakers[official_split(speaker)].append(speaker)
    listed: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for fold, total in SpeechCommands.official_counts.items():
        who = speakers[fold]
        for number in range(total // share):
            word = V2_WORDS[number % len(V2_WORDS)]
            again, speaker = divmod(number // len(V2_WORDS), len(who))
            name = f"{word}/{who[speaker]}_nohash_{again}.wav"
            (root / name).touch()
            listed[fold].append(f"{name}\n")
    (root / "validation_list.txt").write_text("".join(listed["valid"]))
    (root / "testing_list.txt").write_text("".join(listed["test"]))


def write_fsd50k(data: Path, share: int) -> None:
    """The folders of FSD50K, with as many clips and labels in each part as the release."""
    root = data / FSD50K.folder
    (root / "FSD50K.ground_truth").mkdir(parents=True)
    (root / "FSD50K.metadata").mkdir()
    vocabulary = "".join(f"{i},{name},/m/{i:05d}\n" for i, name in enumerate(FSD50K_CLASSES))
    (root / "FSD50K.ground_truth" / "vocabulary.csv").write_text(vocabulary)
    names = count(1)
    for part, splits in (("dev", ("train", "valid")), ("eval", ("test",))):
        (root / f"FSD50K.{part}_audio").mkdir()
        sizes = [FSD50K.official_counts[split] // share for split in splits]
        labels = FSD50K.label_counts[part] // share
        uploaders, lines = {}, ["fname,labels,mids" + ",split" * (part == "dev") + "\n"]
        for number in range(sum(sizes)):
            clip = f"{next(names)}"
            (root / f"FSD50K.{part}_audio" / f"{clip}.wav").touch()
            uploaders[clip] = {"uploader": f"{part}{number % 2000}"}
            many = labels // sum(sizes) + (number < labels % sum(sizes))
            chosen = [(number + k) % len(FSD50K_CLASSES) for k in range(many)]
            split = f",{'train' if number < sizes[0] else 'val'}" * (part == "dev")
            said = [
                ",".join(FSD50K_CLASSES[i] for i in chosen),
                ",".join(f"/m/{i:05d}" for i in chosen),
            ]
            lines.append(f'{clip},"{said[0]}","{said[1]}"{split}\n')
        (root / "FSD50K.ground_truth" / f"{part}.csv").write_text("".join(lines))
        metadata = root / "FSD50K.metadata" / f"{part}_clips_info_FSD50K.json"
        metadata.write_text(json.dumps(uploaders))


WRITERS = {"speech_commands": write_speech_commands, "fsd50k": write_fsd50k}


class FirstClip(Exception):
    """The first clip would be decoded now."""


@pytest.mark.parametrize("name", WRITERS)
def test_a_large_task_is_opened(
    benchmark: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRITERS[name](tmp_path, 1 if benchmark.enabled else FEW)

    def waveform(_: Task, position: int) -> tuple[np.ndarray, int]:
        raise FirstClip

    monkeypatch.setattr(tasks.catalogue.get(name), "waveform", waveform)

    def opened() -> Task:
        task = tasks.create(name, data=tmp_path, partial=not benchmark.enabled)
        with pytest.raises(FirstClip):
            decode(task, tmp_path / "cache")
        return task

    task = benchmark.pedantic(opened, rounds=3)
    assert task.is_partial != benchmark.enabled
    note(benchmark, TASKS, name, "clip before the first is heard", len(task.clips()), bar=OPENING)


# ---------------------------------------------------------------------------------------------------
# Real data


def there(*, all_of_it: bool) -> list[Task]:
    """The tasks whose data are there, complete or not; one for each folder."""
    data = os.environ.get("SOURCEBENCH_DATA")
    if data is None:
        pytest.skip("set SOURCEBENCH_DATA to the folder that holds the data sets")
    found: dict[str, Task] = {}
    for name in tasks.names() if all_of_it else ["speech_commands_arabic"]:
        task = tasks.create(name, data=Path(data), partial=True)
        if not task.embedded and (Path(data) / task.folder).is_dir() and name != "esc10":
            found[name] = task
    for task in found.values():
        task.clips()
    return list(found.values())


@pytest.mark.usefixtures("two_threads")
def test_all_data_are_decoded(benchmark: Any, tmp_path: Path) -> None:
    asked = there(all_of_it=benchmark.enabled)
    caches = (tmp_path / f"{number}" for number in count())

    def decoded() -> int:
        cache = next(caches)
        return sum(len(decode(task, cache).hashes) for task in asked)

    clips = benchmark.pedantic(decoded, rounds=1)
    note(benchmark, TASKS, "all data there", "clip decoded and cached", clips, bar=DECODING)


@pytest.mark.parametrize("probe", ["knn@1", "linear@1"])
def test_a_second_evaluation_by_another_probe(benchmark: Any, probe: str, tmp_path: Path) -> None:
    asked = there(all_of_it=benchmark.enabled)
    machine = open_machine("cpu", "float32", threads=2)
    words = ["control=untrained", "scale=nano"] if benchmark.enabled else ["control=mel_statistics"]
    run = pretrain(
        experiment_of(configure(words)), tiny_runs.places(tmp_path), machine, command="benchmark"
    )
    evaluate(run, asked, ["knn@1"], machine, tmp_path / "cache")

    def again() -> None:
        (run / "rows.jsonl").unlink()

    def second() -> int:
        return evaluate(run, asked, [probe], machine, tmp_path / "cache").measured

    assert benchmark.pedantic(second, setup=again, rounds=2) == len(asked)
    note(benchmark, TASKS, "all data there", f"second evaluation, {probe}", 1, bar=1 / SECOND)


# ---------------------------------------------------------------------------------------------------
# Memory

# Decodes and embeds two long files, on two threads, and prints the peak of its memory in bytes.
LONG_FILES = """
import sys
from pathlib import Path
import pandas as pd
from tone_tasks import Files
from suite.checkpoint import Trained
from suite.encoder import Encoder
from suite.frontend import FrontEnd
from suite.machine import open_machine
from suite.views import views

class Long(Files, name="long"):
    def clips(self):
        return pd.DataFrame({"clip": ["a", "b"], "label": [0, 1], "fold": ["train", "test"],
                             "group": ["a", "b"], "path": ["a.wav", "b.wav"]})

machine = open_machine("cpu", "float32", threads=2)
encoder = Encoder(patch=(16, 16), width=192, depth=4, heads=3).eval().requires_grad_(False)
data = Path(sys.argv[1])
trained = Trained(encoder, FrontEnd(family="kaldi"), "x")
views(Long(data=data), trained, machine, data / "cache", ["clip"])
# Not getrusage: its maximum counts the process that started this one.
status = Path("/proc/self/status").read_text()
print(1024 * int(status.split("VmHWM:")[1].split()[0]))
"""


def test_two_long_files_at_once_stay_below_two_gigabytes(benchmark: Any, tmp_path: Path) -> None:
    minutes = 20 if benchmark.enabled else 1
    (tmp_path / "files").mkdir()
    for number, name in enumerate("ab"):
        noise = np.random.default_rng(number).integers(-9000, 9000, (minutes, 60 * 16_000), np.int16)
        soundfile.write(tmp_path / "files" / f"{name}.wav", noise.ravel(), 16_000)
    process = benchmark.pedantic(
        subprocess.run,
        ([sys.executable, "-c", LONG_FILES, str(tmp_path)],),
        {
            "env": {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
            "capture_output": True,
            "text": True,
        },
        rounds=1,
    )
    assert process.returncode == 0, process.stderr
    peak = float(process.stdout)
    assert peak < MEMORY, f"{peak / 1e9:.2f} GB"
    note(
        benchmark, TASKS, f"2 x 20 minutes, peak {peak / 1e9:.2f} GB", "second of sound", 120 * minutes
    )
