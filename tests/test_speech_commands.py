"""Speech Commands in miniature folders that are made here, with planted faults."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tasks
from tasks import BadData, DataMissing
from tasks.speech_commands import KEYWORDS, NOISE, V1_WORDS, V2_WORDS, SpeechCommands12, official_split

RATE = 8000
WORDS = ("bed", "down", "yes")
FOLDER = "speech_commands_v0.02"


def speakers(fold: str, number: int) -> list[str]:
    """Eight hex digits that the official rule puts into ``fold``."""
    names = (f"{seed:08x}" for seed in count())
    found = (name for name in names if official_split(name) == fold)
    return [next(found) for _ in range(number)]


def sound(path: Path, seconds: float = 0.6, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pitch = 200 + sum(map(ord, str(path.name) + path.parent.name)) % 1000
    soundfile.write(path, 0.5 * np.sin(pitch * np.arange(int(seconds * rate)) * 6.28 / rate), rate)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three words, two utterances of each by 4 + 2 + 2 speakers, split by the official rule."""
    root = tmp_path / FOLDER
    parts = {"train": 4, "valid": 2, "test": 2}
    listed: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for fold, number in parts.items():
        for speaker in speakers(fold, number):
            for word in WORDS:
                for take in range(2):
                    name = f"{word}/{speaker}_nohash_{take}.wav"
                    sound(root / name)
                    listed[fold].append(name)
    (root / "validation_list.txt").write_text("\n".join(listed["valid"]) + "\n")
    (root / "testing_list.txt").write_text("\n".join(listed["test"]) + "\n")
    sound(root / NOISE / "running_tap.wav", seconds=2.0)
    sound(root / NOISE / "white_noise.wav", seconds=3.2)
    entry = tasks.catalogue.get("speech_commands")
    monkeypatch.setattr(entry, "words", WORDS)
    monkeypatch.setattr(entry, "official_counts", {"train": 24, "valid": 12, "test": 12})
    return tmp_path


def replant(data: Path, name: str, old: str, new: str) -> None:
    path = data / FOLDER / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_rule_gives_the_splits_of_official_clips() -> None:
    """Speakers of clips that the official V1 lists name as testing or validation."""
    tested = "0c40e715 0ea0e2f4 42beb5eb 44260689 44715c1c 022cd682 096456f9 0d53e045 ffa76c4a ffb86d3c"
    assert {official_split(speaker) for speaker in tested.split()} == {"test"}
    assert official_split("026290a7") == "valid"
    shares = [official_split(f"{seed:08x}") for seed in range(4000)]
    assert shares.count("valid") / 4000 == pytest.approx(0.1, abs=0.02)
    assert shares.count("test") / 4000 == pytest.approx(0.1, abs=0.02)


def test_the_words_and_counts_are_those_of_the_paper() -> None:
    assert (len(V1_WORDS), len(V2_WORDS)) == (30, 35)
    assert V2_WORDS[:3] == ("backward", "bed", "bird")
    assert sum(tasks.create("speech_commands").official_counts.values()) == 105_829
    assert sum(tasks.create("speech_commands_v1").official_counts.values()) == 64_721
    assert sum(tasks.create("speech_commands_12").official_counts.values()) == 100_503


def test_the_lists_and_the_speakers_are_read(data: Path) -> None:
    task = tasks.create("speech_commands", data=data)
    clips = task.clips()
    assert not task.is_partial
    assert clips["clip"].iloc[0].startswith("bed/")
    assert {official_split(group) for group in clips["group"][clips["fold"] == "valid"]} == {"valid"}
    assert clips["group"].nunique() == 8
    (fold,) = task.folds()
    assert [len(part) for part in (fold.train, fold.valid, fold.test)] == [24, 12, 12]


def test_short_clips_are_padded_to_a_second_and_long_ones_kept(data: Path) -> None:
    task = tasks.create("speech_commands", data=data)
    samples, rate = task.waveform(0)
    assert (len(samples), rate) == (RATE, RATE)
    assert np.abs(samples[: int(0.6 * RATE)]).max() > 0.4
    assert not samples[int(0.6 * RATE) :].any()
    sound(data / FOLDER / task.clips()["path"].iloc[0], seconds=1.25)
    assert len(task.waveform(0)[0]) == 1.25 * RATE


def test_a_shuffled_list_is_refused_by_the_official_rule(data: Path) -> None:
    valid = (data / FOLDER / "validation_list.txt").read_text()
    tested = (data / FOLDER / "testing_list.txt").read_text()
    (data / FOLDER / "validation_list.txt").write_text(tested)
    (data / FOLDER / "testing_list.txt").write_text(valid)
    for partial in (False, True):
        with pytest.raises(BadData, match=r"is in test by the lists .*valid by the official rule"):
            tasks.create("speech_commands", data=data, partial=partial).clips()


def test_a_speaker_on_both_sides_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.catalogue.get("speech_commands"), "hashed_speakers", False)
    speaker = speakers("valid", 1)[0]
    replant(data, "validation_list.txt", f"bed/{speaker}_nohash_0.wav\n", "")
    with pytest.raises(BadData, match=f"group '{speaker}' occurs in several folds"):
        tasks.create("speech_commands", data=data, partial=True).clips()


@pytest.mark.parametrize("where", ["validation_list.txt", "testing_list.txt"])
def test_a_clip_listed_twice_is_refused(data: Path, where: str) -> None:
    path = data / FOLDER / where
    (data / FOLDER / "testing_list.txt").open("a").write(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(BadData, match=rf"testing_list\.txt, line 13.*more than once .*{where}"):
        tasks.create("speech_commands", data=data).clips()


@pytest.mark.parametrize("line", ["apple/0a_nohash_0.wav", "bed", "bed/x/0a_nohash_0.wav"])
def test_a_list_of_other_words_is_refused_by_its_line(data: Path, line: str) -> None:
    with (data / FOLDER / "testing_list.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(BadData, match=rf"line 13: '{line}' is not <word>/<file>"):
        tasks.create("speech_commands", data=data).clips()


def test_a_list_in_another_encoding_is_refused(data: Path) -> None:
    (data / FOLDER / "testing_list.txt").write_bytes("bed/ä_nohash_0.wav\n".encode("latin-1"))
    with pytest.raises(BadData, match=r"testing_list\.txt is not text"):
        tasks.create("speech_commands", data=data).clips()


def test_the_folder_of_another_version_is_refused(data: Path) -> None:
    sound(data / FOLDER / "visual" / "00000000_nohash_0.wav")
    with pytest.raises(BadData, match="'visual', which is none of its 3 words"):
        tasks.create("speech_commands", data=data, partial=True).clips()


def test_a_name_without_a_speaker_is_refused(data: Path) -> None:
    sound(data / FOLDER / "bed" / "recording7.wav")
    with pytest.raises(BadData, match=r"recording7\.wav: the name is not <speaker>_nohash_<number>"):
        tasks.create("speech_commands", data=data).clips()


def test_a_listed_clip_that_is_missing_is_named_or_left_out(data: Path) -> None:
    name = (data / FOLDER / "testing_list.txt").read_text().splitlines()[0]
    (data / FOLDER / name).unlink()
    with pytest.raises(DataMissing, match=f"the first is {name[:-4]} of testing_list"):
        tasks.create("speech_commands", data=data).clips()
    task = tasks.create("speech_commands", data=data, partial=True)
    assert len(task.clips()) == 47
    assert task.is_partial


def test_a_training_clip_that_is_missing_is_a_wrong_count(data: Path) -> None:
    (data / FOLDER / "bed" / f"{speakers('train', 1)[0]}_nohash_0.wav").unlink()
    with pytest.raises(BadData, match=r"47 of the 48 clips .*\(train: 23 of 24\).*partial=true"):
        tasks.create("speech_commands", data=data).clips()


def test_an_empty_split_is_refused_even_of_partial_data(data: Path) -> None:
    for name in (data / FOLDER / "testing_list.txt").read_text().splitlines():
        (data / FOLDER / name).unlink()
    with pytest.raises(BadData, match="no clip of test is there"):
        tasks.create("speech_commands", data=data, partial=True).clips()


# ---------------------------------------------------------------------------------------------------
# Twelve classes


@pytest.fixture
def twelve(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same words with the separate test archive."""
    archive = data / "speech_commands_test_set_v0.02"
    speaker = speakers("test", 1)[0]
    for word in KEYWORDS:
        sound(archive / word / f"{speaker}_nohash_0.wav")
    sound(archive / "_unknown_" / f"bed_{speaker}_nohash_1.wav")
    sound(archive / "_silence_" / "one.wav", seconds=1.0)
    monkeypatch.setattr(SpeechCommands12, "official_counts", {"train": 29, "valid": 15, "test": 12})
    return data


def test_silence_and_unknown_words_are_classes_of_their_own(twelve: Path) -> None:
    task = tasks.create("speech_commands_12", data=twelve)
    clips = task.clips()
    assert not task.is_partial
    label = clips["label"].map(task.classes.__getitem__)
    assert set(label[clips["clip"].str.startswith("bed/")]) == {"_unknown_"}
    assert set(label[clips["clip"].str.startswith("down/")]) == {"down"}
    assert set(label[clips["fold"] == "test"]) == set(task.classes)
    silence = clips[(label == "_silence_") & (clips["fold"] != "test")]
    assert silence.groupby("fold").size().to_dict() == {"train": 5, "valid": 3}
    assert set(silence["group"][silence["fold"] == "valid"]) == {"noise running_tap"}


def test_a_window_of_noise_starts_at_its_half_second(twelve: Path) -> None:
    task = tasks.create("speech_commands_12", data=twelve)
    row = int(task.clips().index[task.clips()["clip"] == f"{NOISE}/white_noise@0003"][0])
    samples, rate = task.waveform(row)
    noise, _ = soundfile.read(twelve / FOLDER / NOISE / "white_noise.wav", dtype="float32")
    assert np.array_equal(samples, noise[3 * rate // 2 : 3 * rate // 2 + rate])


def test_a_training_speaker_in_the_test_archive_is_refused(twelve: Path) -> None:
    speaker = speakers("train", 1)[0]
    sound(twelve / "speech_commands_test_set_v0.02" / "yes" / f"{speaker}_nohash_0.wav")
    with pytest.raises(BadData, match=rf"speaker {speaker} .*is in train by the official rule"):
        tasks.create("speech_commands_12", data=twelve).clips()


def test_the_test_archive_is_asked_for(data: Path) -> None:
    with pytest.raises(DataMissing, match=r"speech_commands_test_set_v0\.02 is not there"):
        tasks.create("speech_commands_12", data=data).clips()
