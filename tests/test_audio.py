"""Reading sound files, and that the two leaf libraries carry the same copies of what they share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import generators.audio
import generators.drawer
import tasks.audio
import tasks.drawer

ROOT = Path(__file__).resolve().parent.parent
both = pytest.mark.parametrize("library", ["generators", "tasks"])
AUDIO = {"generators": generators.audio, "tasks": tasks.audio}
DRAWER = {"generators": generators.drawer, "tasks": tasks.drawer}


def tone(rate: int, seconds: float = 0.5, frequency: float = 440.0) -> np.ndarray:
    time = np.arange(int(rate * seconds)) / rate
    return np.asarray(0.5 * np.sin(2 * np.pi * frequency * time), dtype=np.float32)


@pytest.mark.parametrize("name", ["audio.py", "drawer.py"])
def test_generators_and_tasks_carry_identical_copies(name: str) -> None:
    copies = [(ROOT / library / name).read_bytes() for library in ("generators", "tasks")]
    assert copies[0] == copies[1], f"copy generators/{name} to tasks/{name}, or the other way round"


@both
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "MS_ADPCM"])
def test_every_wav_encoding_is_read(tmp_path: Path, library: str, subtype: str) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(16000), 16000, subtype=subtype)
    samples, rate = AUDIO[library].read_mono(path)
    assert rate == 16000
    assert samples.dtype == np.float32
    lossy = subtype in ("PCM_U8", "MS_ADPCM")
    np.testing.assert_allclose(samples[:8000], tone(16000), atol=0.05 if lossy else 1e-4)


@both
def test_channels_are_averaged_without_normalising(tmp_path: Path, library: str) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(16000), np.zeros(8000)], axis=1), 16000)
    samples, _ = AUDIO[library].read_mono(path)
    np.testing.assert_allclose(samples, 0.5 * tone(16000), atol=1e-4)


@both
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_keeps_a_tone(library: str, rate: int) -> None:
    resampled = AUDIO[library].resample(tone(rate), rate, 16000)
    assert resampled.dtype == np.float32
    assert abs(len(resampled) - 8000) <= 1
    middle = slice(1000, 7000)  # filters ring at the ends
    np.testing.assert_allclose(resampled[middle], tone(16000)[middle], atol=2e-3)


@both
def test_the_same_rate_is_left_untouched(library: str) -> None:
    samples = tone(16000)
    assert AUDIO[library].resample(samples, 16000, 16000) is samples


def write_nothing(path: Path) -> None:
    path.touch()


def write_noise(path: Path) -> None:
    path.write_bytes(b"RIFF this is not audio" * 100)


def write_no_samples(path: Path) -> None:
    soundfile.write(path, np.zeros(0), 16000)


def write_nan(path: Path) -> None:
    samples = tone(16000)
    samples[100] = np.nan
    soundfile.write(path, samples, 16000, subtype="FLOAT")


@both
@pytest.mark.parametrize(
    ("write", "said"),
    [
        (write_nothing, "cannot be decoded"),
        (write_noise, "cannot be decoded"),
        (write_no_samples, "empty"),
        (write_nan, "NaN"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, library: str, write: object, said: str) -> None:
    path = tmp_path / "broken.wav"
    assert callable(write)
    write(path)
    with pytest.raises(DRAWER[library].BadData, match=said) as error:
        AUDIO[library].read_mono(path)
    assert str(path) in str(error.value)


@both
def test_a_missing_file_is_named(tmp_path: Path, library: str) -> None:
    with pytest.raises(DRAWER[library].DataMissing, match=r"gone\.wav"):
        AUDIO[library].read_mono(tmp_path / "gone.wav")


@both
def test_the_content_hash_is_of_the_sound_not_of_the_file(tmp_path: Path, library: str) -> None:
    hashes = set()
    for name in ("tone.wav", "tone.flac"):
        soundfile.write(tmp_path / name, np.int16(tone(16000) * 32767), 16000)
        hashes.add(AUDIO[library].content_hash(AUDIO[library].read_mono(tmp_path / name)[0]))
    assert len(hashes) == 1
    assert AUDIO[library].content_hash(tone(16000, frequency=441.0)) not in hashes
