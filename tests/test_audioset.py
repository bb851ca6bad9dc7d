"""AudioSet: the official lists at their real size, the names clips have, and the index that is kept.

.venv/bin/python -m pytest tests/test_audioset.py
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import generators
from generators.drawer import BadData, DataMissing, UsageError
from generators.real import segment_index
from generators.real.clip_names import read_names
from generators.real.segments import read_segments

COMMENTS = (
    "# Segments csv created Sun Mar  5 10:54:25 2017\n"
    "# num_ytids={0}, num_segs={0}, num_unique_labels=527, num_positive_labels={0}\n"
    "# YTID, start_seconds, end_seconds, positive_labels\n"
)
ROWS = [
    ("--4gqARaEJE", 0.0, 10.0, "/m/068hy,/m/07q6cd_,/m/0bt9lr"),
    ("-0xzrMun0Rs", 30.0, 40.0, "/m/02_41"),
    ("_a-b_c-d_e5", 370.5, 380.5, "/m/09x0r,/t/dd00088"),
    ("YYYYYYYYYYY", 7.0, 12.25, "/m/04rlf"),
    ("zzzzzzzzzz_", 30.0, 40.0, "/m/0dgw9r"),
]


def row(ytid: str, start: float, end: float, labels: str) -> str:
    return f'{ytid}, {start:.3f}, {end:.3f}, "{labels}"\n'


def write_list(path: Path, rows: list[tuple[str, float, float, str]] = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(COMMENTS.format(len(rows)) + "".join(row(*each) for each in rows))
    return path


def write_clip(path: Path, hertz: float = 440.0, seconds: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(16000 * seconds)) / 16000
    soundfile.write(path, (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32), 16000)


def create(folder: Path, **fields: Any) -> Any:
    fields = {"lists": ("balanced_train",), "cache": folder.parent / "cache", "seconds": 0.5, **fields}
    return generators.create("audioset", folder=folder, **fields)


@pytest.fixture
def audioset(tmp_path: Path) -> Path:
    """A list of five segments, of which three have clips."""
    folder = tmp_path / "audioset"
    write_list(folder / "balanced_train_segments.csv")
    write_clip(folder / "clips" / "--4gqARaEJE.flac", 300.0)
    write_clip(folder / "clips" / "deeper" / "Y_a-b_c-d_e5.wav", 500.0, 2.0)
    write_clip(folder / "YYYYYYYYYYY_7.000_12.250.ogg", 700.0)
    (folder / "notes.txt").write_text("no clip")
    return folder


# ---------------------------------------------------------------------------------------------------
# Lists


def test_a_list_is_read_as_it_is_written(tmp_path: Path) -> None:
    found = read_segments((write_list(tmp_path / "a.csv"),))
    assert found.ytid.tolist() == [ytid.encode() for ytid, *_ in ROWS]
    assert found.start.tolist() == [round(1000 * start) for _, start, _, _ in ROWS]
    assert found.end.tolist() == [round(1000 * end) for _, _, end, _ in ROWS]
    assert [found.labels(i) for i in range(5)] == [labels.split(",") for *_, labels in ROWS]


def test_several_lists_follow_each_other(tmp_path: Path) -> None:
    first, second = write_list(tmp_path / "a.csv", ROWS[:2]), write_list(tmp_path / "b.csv", ROWS[2:])
    found = read_segments((first, second))
    assert found.ytid.tolist() == [ytid.encode() for ytid, *_ in ROWS]
    assert found.labels(3) == ["/m/04rlf"]


@pytest.mark.parametrize(
    "text",
    [
        "YTID,start_seconds,end_seconds,positive_labels\n--4gqARaEJE,30,40,/m/068hy\n",
        '# YTID, start_seconds, end_seconds, positive_labels\r\n--4gqARaEJE, 30, 40.0, "/m/068hy"\r\n',
        '# YTID, start_seconds, end_seconds, positive_labels\n\n--4gqARaEJE, 30.0, 40.0000, "/m/068hy"',
    ],
    ids=["plain", "windows", "no last newline"],
)
def test_other_ways_to_write_a_list_are_read_too(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    found = read_segments((tmp_path / "a.csv",))
    assert found.ytid.tolist() == [b"--4gqARaEJE"]
    assert (found.start.tolist(), found.end.tolist()) == ([30000], [40000])
    assert found.labels(0) == ["/m/068hy"]


@pytest.mark.parametrize(
    "line",
    [
        "--4gqARaEJE, 30.000, 40.000",
        '--4gqARaEJE, 30.000, "/m/068hy"',
        "--4gqARaEJE",
        '--4gqARa, 30.000, 40.000, "/m/068hy"',
        '--4gqARaEJEE, 30.000, 40.000, "/m/068hy"',
        '--4gqARaEJE, thirty, 40.000, "/m/068hy"',
        '--4gqARaEJE, , 40.000, "/m/068hy"',
        '--4gqARaEJE, 3-0.0, 40.000, "/m/068hy"',
        '--4gqARaEJE, 3.0.0, 40.000, "/m/068hy"',
        '--4gqARaEJE, 40.000, 30.000, "/m/068hy"',
        '--4gqARaEJE, 12345678901.0, 12345678911.0, "/m/068hy"',
    ],
)
def test_a_malformed_row_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    text = COMMENTS.format(3) + row(*ROWS[0]) + f"{line}\n" + row(*ROWS[1])
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(BadData, match=rf"a\.csv, line 5 is not YTID.*{re.escape(line[:11])}"):
        read_segments((tmp_path / "a.csv",))


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("# YTID, start_seconds, positive_labels\n", "end_seconds"),
        ("# a comment\n", "YTID, start_seconds, end_seconds, positive_labels"),
        ("", "YTID, start_seconds, end_seconds, positive_labels"),
        ("# YTID, end_seconds, start_seconds, positive_labels\n", "none"),
    ],
)
def test_missing_columns_are_named(tmp_path: Path, header: str, missing: str) -> None:
    (tmp_path / "a.csv").write_text(header + row(*ROWS[0]))
    with pytest.raises(BadData, match=rf"missing: {missing}\)"):
        read_segments((tmp_path / "a.csv",))


@pytest.mark.parametrize("content", ["", COMMENTS.format(0)])
def test_a_list_without_segments_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(BadData, match="official list"):
        read_segments((tmp_path / "a.csv",))


# ---------------------------------------------------------------------------------------------------
# Names of clips


@pytest.mark.parametrize(
    "ytid", ["--4gqARaEJE", "_a-b_c-d_e5", "YYYYYYYYYYY", "zzzzzzzzzz_", "___________"]
)
@pytest.mark.parametrize("before", ["", "Y"])
@pytest.mark.parametrize(
    ("after", "start"),
    [
        ("", -1.0),
        ("_30", 30.0),
        ("_30.500", 30.5),
        ("_30_40", 30.0),
        ("_30.000_40.000", 30.0),
        ("_30000_40000", 30000.0),
    ],
)
def test_a_clip_is_known_by_its_name(ytid: str, before: str, after: str, start: float) -> None:
    found = read_names(["notes.txt", f"{before}{ytid}{after}.FLAC", "other.wav"])
    assert found.readable.tolist() == [False, True, False]
    assert (found.ytid[1], found.start[1]) == (ytid.encode(), start)
    assert found.name[1] == f"{before}{ytid}{after}.FLAC".encode()


@pytest.mark.parametrize(
    "name",
    [
        *("short.wav", "--4gqARaEJE", "--4gqARaEJE_x.wav", "--4gqARaEJE_.wav", ".wav"),
        *("--4gqARaEJE_1_2_3.wav", "--4gqARaEJE_1..5.wav", "X--4gqARaEJE.wav"),
        *("Ünicode_clip.wav", "--4gqARaEJE.wav.part"),
    ],
)
def test_other_names_are_no_clips(name: str) -> None:
    assert not read_names([name]).readable.any()


def test_formats_that_libsndfile_does_not_read_are_counted() -> None:
    names = [f"--4gqARaEJE.{suffix}" for suffix in ("m4a", "M4A", "webm", "wav", "txt")]
    assert read_names(names).unread() == {".m4a": 2, ".webm": 1}


# ---------------------------------------------------------------------------------------------------
# The source


def test_present_clips_are_found_and_missing_ones_counted(audioset: Path) -> None:
    source = create(audioset)
    with pytest.warns(UserWarning, match="3 of 5 listed clips .* 2 are missing"):
        files = source.files
    assert files.names() == [
        "clips/--4gqARaEJE.flac",
        "clips/deeper/Y_a-b_c-d_e5.wav",
        "YYYYYYYYYYY_7.000_12.250.ogg",
    ]
    facts = source.facts()
    assert (facts["files"], facts["listed"], facts["missing"]) == (3, 5, 2)


def test_a_complete_folder_is_no_warning(audioset: Path) -> None:
    write_clip(audioset / "-0xzrMun0Rs_30000_40000.wav")
    write_clip(audioset / "Yzzzzzzzzzz__30.wav")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(create(audioset).files) == 5


def test_a_clip_that_starts_elsewhere_is_another_segment(audioset: Path) -> None:
    write_clip(audioset / "-0xzrMun0Rs_50_60.wav")
    with pytest.warns(UserWarning, match="2 are missing"):
        assert len(create(audioset).files) == 3


def test_two_segments_of_one_video_are_told_apart_by_their_start(tmp_path: Path) -> None:
    folder = tmp_path / "audioset"
    rows = [("--4gqARaEJE", start, start + 10, "/m/068hy") for start in (30.0, 0.0, 60.0)]
    write_list(folder / "balanced_train_segments.csv", rows)
    for name in ("--4gqARaEJE_0_10.wav", "--4gqARaEJE_30000_40000.wav", "--4gqARaEJE_60.wav"):
        write_clip(folder / name)
    files = create(folder).files
    assert [files.facts(i)["start_seconds"] for i in range(3)] == [30.0, 0.0, 60.0]
    assert [name[12:14] for name in files.names()] == ["30", "0_", "60"]


def test_a_segment_that_is_listed_again_counts_once(tmp_path: Path) -> None:
    folder = tmp_path / "audioset"
    write_list(folder / "balanced_train_segments.csv", [*ROWS, ROWS[0]])
    for ytid, *_ in ROWS:
        write_clip(folder / f"{ytid}.wav")
    files = create(folder).files
    assert (len(files), files.listed) == (5, 5)


def test_of_two_files_for_one_segment_the_first_by_name_is_taken(audioset: Path) -> None:
    for name in ("Y--4gqARaEJE.wav", "--4gqARaEJE_0_10.wav", "--4gqARaEJE.wav"):
        write_clip(audioset / "clips" / name)
    with pytest.warns(UserWarning, match="3 of 5"):
        assert create(audioset).files.name(0) == "clips/--4gqARaEJE.flac"


def test_a_description_names_the_segment(audioset: Path) -> None:
    with pytest.warns(UserWarning, match="2 are missing"):
        described = [create(audioset).describe(index) for index in range(12)]
    by_id = {each["ytid"]: each for each in described}
    assert set(by_id) == {"--4gqARaEJE", "_a-b_c-d_e5", "YYYYYYYYYYY"}
    assert by_id["_a-b_c-d_e5"]["labels"] == ["/m/09x0r", "/t/dd00088"]
    assert by_id["_a-b_c-d_e5"]["start_seconds"] == 370.5
    assert by_id["YYYYYYYYYYY"]["end_seconds"] == 12.25
    assert json.dumps(described)


@pytest.mark.filterwarnings("ignore:AudioSet")
def test_a_sample_is_the_described_part_of_its_clip(audioset: Path) -> None:
    source = create(audioset)
    for index in range(8):
        facts, clip = source.describe(index), source.sample(index).numpy()
        sound, _ = soundfile.read(audioset / facts["file"], dtype="float32")
        start = round(facts["offset_seconds"] * 16000)
        assert np.abs(clip - sound[start : start + 8000]).max() <= 0.51 / 32767


@pytest.mark.filterwarnings("ignore:AudioSet")
def test_clips_decoded_once_and_ahead_are_the_same(audioset: Path) -> None:
    ahead = create(audioset, workers=1)
    ahead.expect(range(10))
    assert torch.equal(ahead.batch(range(10)), create(audioset, decode="once").batch(range(10)))


def test_nothing_there_says_how_clips_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "audioset"
    write_list(folder / "balanced_train_segments.csv")
    (folder / "--4gqARaEJE.m4a").write_bytes(b"")
    with pytest.raises(DataMissing, match=r"none of the 5 clips .* ID\.flac.* 1 \.m4a .*ffmpeg"):
        _ = create(folder).files
    with pytest.raises(DataMissing, match=r"no segment list at .*unbalanced_train_segments\.csv"):
        _ = create(folder, lists=("balanced_train", "unbalanced_train")).files
    with pytest.raises(DataMissing, match=r"no folder at .*Set source\.folder"):
        _ = create(tmp_path / "nowhere").files


def test_a_list_of_my_own_is_a_path(audioset: Path, tmp_path: Path) -> None:
    write_list(tmp_path / "mine.csv", ROWS[:1])
    write_list(audioset / "lists" / "mine.csv", ROWS[2:3])
    assert create(audioset, lists=(str(tmp_path / "mine.csv"),)).files.names() == [
        "clips/--4gqARaEJE.flac"
    ]
    below = create(audioset, lists=("lists/mine.csv",)).files.names()
    assert below == ["clips/deeper/Y_a-b_c-d_e5.wav"]


@pytest.mark.parametrize("lists", [(), ("balanced_train", "balanced_train")])
def test_no_list_and_a_list_named_twice_are_refused(tmp_path: Path, lists: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"source\.lists"):
        create(tmp_path, lists=lists)


# ---------------------------------------------------------------------------------------------------
# The index


@pytest.mark.filterwarnings("ignore:AudioSet")
def test_the_index_is_kept_until_lists_or_folders_change(
    audioset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = create(audioset).files
    looked: list[Path] = []
    find = segment_index.find_clips

    def remember(base: Path, segments: Any) -> Any:
        looked.append(base)
        return find(base, segments)

    monkeypatch.setattr(segment_index, "find_clips", remember)
    again = create(audioset).files
    assert looked == []
    assert again.names() == first.names()
    assert again.fingerprint() == first.fingerprint()
    assert [again.facts(i) for i in range(3)] == [first.facts(i) for i in range(3)]
    write_clip(audioset / "clips" / "deeper" / "-0xzrMun0Rs.wav")
    assert len(create(audioset).files) == 4
    (audioset / "clips" / "--4gqARaEJE.flac").unlink()
    assert len(create(audioset).files) == 3
    write_list(audioset / "balanced_train_segments.csv", ROWS[:2])
    assert create(audioset).files.names() == ["clips/deeper/-0xzrMun0Rs.wav"]
    assert len(looked) == 3


@pytest.mark.filterwarnings("ignore:AudioSet")
def test_a_damaged_or_half_written_index_is_made_anew(audioset: Path) -> None:
    expected = create(audioset).files.names()
    (index,) = (audioset.parent / "cache" / "audioset").glob("*.npz")
    whole = index.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"no index"):
        index.write_bytes(content)
        assert create(audioset).files.names() == expected
        assert len(index.read_bytes()) == len(whole)


@pytest.mark.filterwarnings("ignore:AudioSet")
def test_a_link_back_is_followed_once(audioset: Path) -> None:
    (audioset / "clips" / "again").symlink_to(audioset, target_is_directory=True)
    assert len(create(audioset).files) == 3


@pytest.mark.filterwarnings("ignore:AudioSet")
def test_another_set_of_clips_is_another_identity(audioset: Path) -> None:
    before = create(audioset).identity()
    assert before == create(audioset).identity()
    (audioset / "clips" / "--4gqARaEJE.flac").unlink()
    assert create(audioset).identity() != before


OPEN = """
import json, re, sys, time, warnings
from pathlib import Path
import generators.real.audioset
warnings.simplefilter("ignore")
began = time.process_time()
source = generators.create("audioset", folder=Path(sys.argv[1]), cache=Path(sys.argv[2]))
found = {"files": len(source.files), "missing": source.files.missing, "name": source.files.name(2)}
found["seconds"] = time.process_time() - began
# not getrusage: its maximum includes the process that started this one
high_water = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
found["bytes"] = int(high_water[1]) * 1024
print(json.dumps(found | {"labels": source.files.facts(2)["labels"]}))
"""


def test_two_million_rows_open_in_five_seconds_and_a_gigabyte(tmp_path: Path) -> None:
    """The bars are of the processor's time, so that a busy machine is no failure."""
    folder = tmp_path / "audioset"
    folder.mkdir()
    count = 2_000_000
    letters = np.frombuffer(
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_", np.uint8
    )
    ids = letters[np.random.default_rng(0).integers(0, 64, (count, 11))]
    lines = np.tile(
        np.frombuffer(b'            30.000, 40.000, "/m/068hy,/m/07q6cd_"\n', np.uint8), (count, 1)
    )
    lines[:, :11], lines[:, 11] = ids, ord(",")
    (folder / "balanced_train_segments.csv").write_text(COMMENTS.format(1) + row(*ROWS[0]))
    with (folder / "unbalanced_train_segments.csv").open("wb") as file:
        file.write(COMMENTS.format(count).encode())
        file.write(lines.tobytes())
    for number in (0, count - 1):
        write_clip(folder / f"{ids[number].tobytes().decode()}_30000.wav", seconds=0.1)
    write_clip(folder / "--4gqARaEJE.wav", seconds=0.1)
    for _ in range(2):  # made, and from the cache
        command = [sys.executable, "-c", OPEN, str(folder), str(tmp_path / "cache")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        found = json.loads(done.stdout)
        assert (found["files"], found["missing"]) == (3, count - 2)
        assert found["name"] == f"{ids[-1].tobytes().decode()}_30000.wav"
        assert found["labels"] == ["/m/068hy", "/m/07q6cd_"]
        assert found["seconds"] < 5.0
        assert found["bytes"] < 1e9
