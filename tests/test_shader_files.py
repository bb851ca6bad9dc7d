"""Shaders of a folder are drawn as their text says, and broken ones are named.

.venv/bin/python -m pytest tests/test_shader_files.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import generators
from generators.drawer import BadData, DataMissing, UsageError
from generators.pictures import shader_programs
from generators.pictures.shader_programs import fragment

# Written for these tests: the same picture, red across, green up, blue by time, in four conventions.
SHADERTOY = """void mainImage(out vec4 colour, in vec2 place) {
    colour = vec4(place / iResolution.xy, iTime / 10.0, 1.0);
}
"""
CLASSIC = """#version 100
precision highp float;
uniform vec2 resolution;
uniform float time;
void main() { gl_FragColor = vec4(gl_FragCoord.xy / resolution, time / 10.0, 1.0); }
"""
MODERN = """#version 300 es
precision highp float;
uniform vec2 u_resolution;
uniform float u_time;
out vec4 shown;
void main() { shown = vec4(gl_FragCoord.xy / u_resolution, u_time / 10.0, 1.0); }
"""
SHORTEST = "o = vec4(FC.xy / r, t / 10.0, 1.0);"
SHORT = "void main() { gl_FragColor = vec4(gl_FragCoord.xy / r, t / 10.0, 1.0); }"
FORMS = {"toy": SHADERTOY, "classic": CLASSIC, "modern": MODERN, "geeker": SHORT, "geekest": SHORTEST}
BROKEN = "void mainImage(out vec4 colour, in vec2 place) {\n    colour = vec4(plaice, 0.0, 1.0);\n}\n"


def make(folder: Path, **fields: Any) -> Any:
    return generators.create(
        "shader_files", **{"folder": folder, "height": 20, "width": 30, "side": 32, **fields}
    )


def written(folder: Path, **shaders: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, code in shaders.items():
        (folder / f"{name}.frag").write_text(code, encoding="utf-8")
    return folder


@pytest.fixture
def opengl() -> None:
    """Skip where the extra or a driver is missing."""
    pytest.importorskip("moderngl")
    try:
        shader_programs.in_context(lambda context: context.version_code)
    except UsageError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("form", FORMS)
def test_every_convention_draws_what_it_says(form: str, tmp_path: Path, opengl: None) -> None:
    source = make(written(tmp_path, **{form: FORMS[form]}))
    drawn = source.draw_patterns(torch.arange(3))
    colours = source.paint(drawn, torch.device("cpu")).double().numpy()
    place = (np.arange(32) + 0.5) / 32
    for picture, time in zip(colours, drawn["time"].tolist(), strict=True):
        assert np.abs(picture[0] - place[None, :]).max() < 0.51 / 255 + 1e-6
        assert np.abs(picture[1] - place[:, None]).max() < 0.51 / 255 + 1e-6  # row 0 is below
        assert np.abs(picture[2] - time / 10.0).max() < 0.51 / 255 + 1e-6
    assert source.describe(0)["program"] == [f"{form}.frag"]


def test_frames_mouse_and_channels_are_set(tmp_path: Path, opengl: None) -> None:
    code = """void mainImage(out vec4 c, in vec2 p) {
        float late = abs(float(iFrame) - iTime * 60.0) < 1.0 ? 1.0 : 0.0;
        c = vec4(late, iMouse.x + texture(iChannel2, p / iResolution.xy).r, iDate.x / 4042.0, 1.0);
    }"""
    source = make(written(tmp_path, one=code))
    colours = source.paint(source.draw_patterns(torch.arange(4)), torch.device("cpu"))
    assert colours[:, 0].min() == 1.0
    assert colours[:, 1].max() == 0.0
    assert colours[:, 2].mean().item() == pytest.approx(0.5, abs=0.003)


def test_programs_are_drawn_evenly_at_times_of_the_range(tmp_path: Path) -> None:
    source = make(written(tmp_path, **FORMS), time_seconds=(2.0, 3.0))
    drawn = source.draw_patterns(torch.arange(5000))
    counts = torch.bincount(drawn["program"])
    assert len(counts) == 5
    assert ((counts - 1000).abs() < 130).all()
    assert 2.0 <= drawn["time"].min() < drawn["time"].max() < 3.0


def test_any_thread_may_render(tmp_path: Path, opengl: None) -> None:
    source = make(written(tmp_path, toy=SHADERTOY))
    here = source.batch(range(4))
    with ThreadPoolExecutor(2) as threads:
        there = list(threads.map(source.batch, [range(4), range(4)]))
    assert all(torch.equal(here, each) for each in there)


def test_a_shader_that_does_not_compile_is_named_with_its_line(tmp_path: Path, opengl: None) -> None:
    source = make(written(tmp_path, broken=BROKEN))
    with pytest.raises(BadData, match=r"broken\.frag does not compile: .*2.*plaice") as refused:
        source.sample(0)
    assert "\n" not in str(refused.value)


@pytest.fixture
def fresh() -> Iterator[None]:
    """No context is open at the start of a test, nor one of the test's at its end."""
    shader_programs.open_context.cache_clear()
    yield
    shader_programs.open_context.cache_clear()


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: None) -> None:
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.raises(UsageError, match=r"pip install 'sourcebench\[shaders\]'"):
        make(written(tmp_path, toy=SHADERTOY)).sample(0)


def test_a_missing_driver_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: None
) -> None:
    class Without:
        """A moderngl on a machine without EGL."""

        @staticmethod
        def create_context(**_: Any) -> None:
            raise Exception("libEGL.so not found in path\nmore")

    monkeypatch.setitem(sys.modules, "moderngl", Without)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"libEGL.so not found in path\. .*apt install libegl1"):
        make(written(tmp_path, toy=SHADERTOY)).sample(0)


def test_the_identity_follows_the_text_and_not_the_place(tmp_path: Path) -> None:
    first = make(written(tmp_path / "a", toy=SHADERTOY)).identity()
    assert first == make(written(tmp_path / "b", toy=SHADERTOY)).identity()
    assert first != make(written(tmp_path / "c", toy=SHADERTOY + "\n")).identity()


def test_impossible_folders_and_fields_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "some", toy=SHADERTOY)
    with pytest.raises(DataMissing, match="no folder"):
        make(tmp_path / "none")
    with pytest.raises(DataMissing, match=r"\.frag, \.fs, \.glsl"):
        make(written(tmp_path / "empty"))
    with pytest.raises(UsageError, match=r"source\.folder="):
        generators.create("shader_files")
    with pytest.raises(UsageError, match=r"source\.side=8"):
        make(folder, side=8)
    with pytest.raises(UsageError, match=r"source\.time_seconds"):
        make(folder, time_seconds=(5.0, 1.0))
    (folder / "latin.frag").write_bytes(b"// caf\xe9")
    with pytest.raises(BadData, match=r"latin\.frag"):
        make(folder)


def test_a_comment_keeps_its_line() -> None:
    assert fragment(CLASSIC).split("#line 1\n")[1].splitlines()[4].startswith("void main()")
    assert "uniform vec2 r;" not in fragment(CLASSIC)
    assert fragment(MODERN).count("out vec4") == 1
