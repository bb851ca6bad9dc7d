"""A preview shows and sounds what the source makes, with its factors and its masks.

.venv/bin/python -m pytest tests/test_preview.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

import generators
from generators.drawer import UsageError
from suite import drawers
from suite.frontend import FrontEnd
from suite.preview import preview
from suite.preview.sheet import HATCH, caption, draw

FRONTEND = FrontEnd(frames=48)  # 0.48 s: 3 x 5 patches of 16 x 16
RANDOM = drawers.masks.create("random", ratio=0.6)


def test_sounds_are_written_as_the_source_makes_them(tmp_path: Path) -> None:
    source = generators.create("audiopg", seconds=1.28)
    paths = preview(source, FRONTEND, RANDOM, (16, 16), tmp_path, count=3).paths
    names = [path.name for path in paths]
    assert names[:2] == ["contact-sheet.png", "factors.json"]
    assert names[2:] == ["sample-000.wav", "sample-001.wav", "sample-002.wav"]
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    for index, path in enumerate(paths[2:]):
        heard, rate = soundfile.read(path, dtype="float32")
        assert rate == 16_000
        np.testing.assert_allclose(heard, source.sample(index).numpy(), atol=2.0**-14)


def test_factors_are_what_the_source_says_it_drew(tmp_path: Path) -> None:
    source = generators.create("audiopg", seconds=1.28, seed=3)
    preview(source, FRONTEND, RANDOM, (16, 16), tmp_path, count=2)
    written = json.loads((tmp_path / "factors.json").read_text())
    assert written["source"]["seed"] == 3
    drawn = json.loads(json.dumps([source.describe(index) for index in range(2)]))
    assert written["samples"] == [{"sample": index, **values} for index, values in enumerate(drawn)]


def test_pictures_have_a_sheet_and_no_sounds(tmp_path: Path) -> None:
    source = generators.create("dead_leaves", height=80, width=48)
    preview(source, FRONTEND, RANDOM, (16, 16), tmp_path, count=2)
    assert {path.name for path in tmp_path.iterdir()} == {"contact-sheet.png", "factors.json"}
    assert image.imread(tmp_path / "contact-sheet.png").std() > 0.05


def test_half_of_the_panels_show_one_input_with_its_hidden_patches() -> None:
    source = generators.create("dead_leaves", height=80, width=160)
    images = source.batch([0, 1])
    factors = [source.describe(index) for index in range(2)]
    figure = draw(source, FRONTEND, RANDOM, (16, 16), images, factors)
    panels = [axes for axes in figure.axes if axes.get_images()]
    hidden = [len(hatched(axes)) for axes in panels]
    assert hidden == [0, 9, 0, 9]  # 15 patches, int(15 * 0.4) = 6 visible
    for whole, crop in zip(panels[::2], panels[1::2], strict=True):
        (frame,) = (patch for patch in whole.patches if isinstance(patch, Rectangle))
        start = round(frame.get_x() / 0.01)
        shown = np.asarray(crop.get_images()[0].get_array())
        assert np.array_equal(
            shown, np.asarray(whole.get_images()[0].get_array())[:, start : start + 48]
        )
        corners = {(round(p.get_x() / 0.16), round(p.get_y() / 16)) for p in hatched(crop)}
        assert len(corners) == 9
        assert corners <= {(step, band) for step in range(3) for band in range(5)}


def hatched(axes: Axes) -> list[Rectangle]:
    """The patches drawn as hidden."""
    from matplotlib.colors import to_rgba

    rectangles = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [patch for patch in rectangles if patch.get_edgecolor() == to_rgba(HATCH)]


def test_without_masks_nothing_is_hidden(tmp_path: Path) -> None:
    source = generators.create("dead_leaves", height=80, width=48)
    figure = draw(source, FRONTEND, None, (16, 16), source.batch([0]), [source.describe(0)])
    panels = [axes for axes in figure.axes if axes.get_images()]
    assert [len(hatched(axes)) for axes in panels] == [0, 0]
    assert "hidden" not in " ".join(text.get_text() for text in figure.texts)
    assert preview(source, FRONTEND, None, (16, 16), tmp_path, count=1).paths


def test_a_thumbnail_is_the_image_with_low_frequencies_below(tmp_path: Path) -> None:
    source = generators.create("dead_leaves", height=80, width=48)
    paths = preview(source, FRONTEND, RANDOM, (16, 16), tmp_path, count=2, thumbnails=True).paths
    assert [path.name for path in paths[2:]] == ["sample-000.png", "sample-001.png"]
    grey = image.imread(paths[3])[::-1, :, 0]
    np.testing.assert_allclose(grey, source.sample(1).numpy(), atol=1 / 255)


def test_of_a_mixture_the_sounds_are_heard(tmp_path: Path) -> None:
    parts = {"noise": {"seconds": 0.64}, "dead_leaves": {}}
    source = generators.create("mixture", parts=parts, height=80, width=60)
    paths = preview(source, FRONTEND, RANDOM, (16, 16), tmp_path, count=6).paths
    drawn = [source.describe(index)["part"] for index in range(6)]
    heard = [f"sample-{index:03d}.wav" for index, part in enumerate(drawn) if part == "noise"]
    assert 0 < len(heard) < 6
    assert [path.name for path in paths[2:]] == heard


def test_a_shorter_preview_leaves_no_sounds_of_a_longer_one(tmp_path: Path) -> None:
    source = generators.create("noise", seconds=0.64)
    preview(source, FRONTEND, RANDOM, (16, 16), tmp_path, count=3)
    preview(source, FRONTEND, RANDOM, (16, 16), tmp_path, count=1)
    assert [path.name for path in tmp_path.glob("*.wav")] == ["sample-000.wav"]


def test_a_finite_source_shows_the_samples_it_has(tmp_path: Path) -> None:
    source = generators.create("noise", seconds=0.64, size=2)
    assert len(preview(source, FRONTEND, RANDOM, (16, 16), tmp_path, count=8).paths) == 4


def test_a_sound_shorter_than_one_input_is_padded(tmp_path: Path) -> None:
    source = generators.create("noise", seconds=0.2)
    assert preview(source, FRONTEND, RANDOM, (16, 16), tmp_path, count=1).paths


def test_what_cannot_be_shown_is_refused_with_the_key_to_change(tmp_path: Path) -> None:
    source = generators.create("noise", seconds=0.64)
    with pytest.raises(UsageError, match="count=0"):
        preview(source, FRONTEND, RANDOM, (16, 16), tmp_path, count=0)
    with pytest.raises(UsageError, match=r"frontend\.frames"):
        preview(source, FRONTEND, RANDOM, (16, 20), tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(UsageError, match=str(blocked)):
        preview(source, FRONTEND, RANDOM, (16, 16), blocked, count=1)


def test_a_caption_has_the_factors_that_fit() -> None:
    factors = {"f0_hz": 440.123, "mode": "fm", "onset_seconds": [0.5] * 9, "text": "x" * 200, "late": 1}
    known = "f0 hz 440  ·  mode fm"
    assert caption(factors) == f"{known}  ·  onset seconds [0.5, 0.5, 0.5, 0.5, ...]  ·  late 1  ..."
    assert caption(factors, 48) == f"{known}  ·  late 1  ..."
    assert caption(factors, 50) == f"{known}  ·  onset seconds [0.5, ...]  ..."
    assert caption({"slope": -0.0}) == "slope 0"


def test_groups_of_factors_are_cut_like_lists() -> None:
    tones = [{"f0_hz": 440.123, "kind": "fm", "gain": 1.0, "onset_s": None, "late": 3}]
    assert caption({"tones": tones}) == "tones [{f0_hz 440, kind fm, gain 1, onset_s none, ...}]"


def test_file_names_with_dollars_are_no_formulas() -> None:
    source = generators.create("dead_leaves", height=80, width=48)
    factors = [{"file": "cash_$1$_\\frac.ogg"}]
    figure = draw(source, FRONTEND, RANDOM, (16, 16), source.batch([0]), factors)
    figure.canvas.draw()
    assert "$1$" in figure.axes[0].get_title(loc="left")
