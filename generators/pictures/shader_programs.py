"""Fragment shaders as programs that OpenGL compiles and draws, without a window.

Spec 5.5. One thread of each process owns the OpenGL context: contexts belong to threads, and a source
is rendered by whichever thread trains. ``moderngl`` is an optional extra and imported when it is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..drawer import BadData, UsageError

SUFFIXES = (".frag", ".fs", ".glsl")
FRAMES_PER_SECOND = 60.0
DATE = (2021.0, 3.0, 10.0, 0.0)  # year, month, day, seconds: the date that Shaders21k was rendered with

VERTEX = """#version 330
in vec2 corner;
void main() { gl_Position = vec4(corner, 0.0, 1.0); }
"""
SHADERTOY = (
    "uniform vec3 iResolution; uniform float iTime; uniform float iTimeDelta; uniform int iFrame; "
    "uniform float iFrameRate; uniform vec4 iMouse; uniform vec4 iDate; uniform float iSampleRate; "
    "uniform float iChannelTime[4]; uniform vec3 iChannelResolution[4]; uniform sampler2D iChannel0; "
    "uniform sampler2D iChannel1; uniform sampler2D iChannel2; uniform sampler2D iChannel3;"
)
SHADERTOY_MAIN = (
    "void main() { finalColour = vec4(0, 0, 0, 1); mainImage(finalColour, gl_FragCoord.xy); }"
)
TWIGL = "uniform vec2 r; uniform vec2 m; uniform float t; uniform float f; uniform sampler2D b;"

Result = TypeVar("Result")


def fragment(code: str) -> str:
    """The GLSL 3.30 program of a shader's text, by the conventions that it is written in.

    Shadertoy: ``mainImage``, with its uniforms declared. Classic: ``main`` that writes ``gl_FragColor``
    (or an output of its own), uniforms declared by the author. TwiGL's short forms: no uniform
    declared (``r t m f b`` are), without ``main`` too (then the text is its body). Line numbers of the
    compiler's messages are those of the file.
    """
    code = re.sub(r"^\s*#version[^\n]*", "", code, flags=re.MULTILINE)
    code = re.sub(r"\bgl_FragColor\b|\bgl_FragData\s*\[\s*0\s*\]", "finalColour", code)
    head = "#version 330\n#define texture2D texture\n#define varying in\n"
    output = "" if re.search(r"\bout\s+(?:\w+\s+)?vec4\s+\w+\s*;", code) else "out vec4 finalColour;"
    if re.search(r"\bvoid\s+mainImage\s*\(", code):
        return f"{head}{SHADERTOY} out vec4 finalColour;\n#line 1\n{code}\n{SHADERTOY_MAIN}\n"
    uniforms = "" if re.search(r"\buniform\b", code) else TWIGL
    if not re.search(r"\bvoid\s+main\s*\(", code):
        short = "#define FC gl_FragCoord\n#define o finalColour\n"
        code = f"void main() {{ finalColour = vec4(0, 0, 0, 1);\n#line 1\n{code}\n}}"
        return f"{head}{uniforms} {output}\n{short}{code}\n"
    return f"{head}{uniforms} {output}\n#line 1\n{code}\n"


def values_at(time: float, side: int) -> dict[str, tuple[float, ...]]:
    """Values of every uniform that is known by name, at ``time`` seconds on a square of ``side``."""
    frame, size = float(int(time * FRAMES_PER_SECOND)), (float(side), float(side), 1.0)
    return {
        **dict.fromkeys(("iResolution", "resolution", "u_resolution", "r"), size),
        **dict.fromkeys(("iTime", "iGlobalTime", "time", "u_time", "t"), (time,)),
        **dict.fromkeys(("iMouse", "mouse", "u_mouse", "m"), (0.0, 0.0, 0.0, 0.0)),
        **dict.fromkeys(("iFrame", "frame", "u_frame", "f"), (frame,)),
        "iTimeDelta": (1.0 / FRAMES_PER_SECOND,),
        "iFrameRate": (FRAMES_PER_SECOND,),
        "iDate": DATE,
        "iSampleRate": (44100.0,),
    }


# ---------------------------------------------------------------------------------------------------
# OpenGL


@lru_cache(maxsize=1)
def owner(process: int) -> ThreadPoolExecutor:
    """The thread that owns the OpenGL context of a process."""
    return ThreadPoolExecutor(1, thread_name_prefix="shaders")


def in_context(call: Callable[[Any], Result]) -> Result:
    """``call(context)`` in the thread that owns the context."""
    return owner(os.getpid()).submit(lambda: call(open_context(os.getpid()))).result()


@lru_cache(maxsize=1)
def open_context(process: int) -> Any:
    """A moderngl context without a window; :class:`UsageError` says what has to be installed."""
    try:
        import moderngl
    except ModuleNotFoundError as error:
        raise UsageError(
            "shader_files draws with OpenGL through moderngl, which is not installed. "
            "Type pip install 'sourcebench[shaders]', or use source=procshader."
        ) from error
    try:
        return moderngl.create_context(standalone=True, backend="egl", require=330)
    except Exception as error:  # moderngl raises bare exceptions
        raise UsageError(
            f"OpenGL 3.3 cannot be opened through EGL: {str(error).splitlines()[0]}. Install a driver: "
            "on Debian and Ubuntu, apt install libegl1 libgl1-mesa-dri draws on the CPU."
        ) from error


@lru_cache(maxsize=256)
def compiled(path: Path, code: str, context: Any) -> tuple[Any, Any]:
    """The program of a file and the square that it is drawn on; BadData where it does not compile."""
    try:
        program = context.program(vertex_shader=VERTEX, fragment_shader=fragment(code))
    except Exception as error:  # moderngl raises bare exceptions, the compiler's log below a title
        raise BadData(
            f"{path} does not compile: {first_complaint(str(error))}. Correct it or take it away."
        ) from error
    corners = context.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], dtype="f4").tobytes())
    return program, context.vertex_array(program, [(corners, "2f", "corner")])


def first_complaint(log: str) -> str:
    """The first line of a compiler's log that says what is wrong."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower() and ":" in line), lines[-1])


def draw(path: Path, code: str, time: float, side: int, context: Any) -> np.ndarray:
    """One picture, uint8 ``(side, side, 3)``, row 0 the lowest; for :func:`in_context`."""
    import moderngl

    program, square = compiled(path, code, context)
    values = values_at(time, side)
    for name in program:
        member = program[name]
        if name in values and isinstance(member, moderngl.Uniform):
            value = values[name][: member.dimension]
            whole = member.fmt.endswith("i")
            given = tuple(int(number) if whole else number for number in value)
            member.value = given if member.dimension > 1 else given[0]
    target, black = screen(side, context)
    black.use(0)  # every channel and back-buffer
    target.use()
    target.clear(0.0, 0.0, 0.0, 1.0)
    square.render(moderngl.TRIANGLE_STRIP)
    pixels = np.frombuffer(target.read(components=3, alignment=1), dtype=np.uint8)
    return pixels.reshape(side, side, 3)


@lru_cache(maxsize=4)
def screen(side: int, context: Any) -> tuple[Any, Any]:
    """What is drawn on, and a black texture of one pixel."""
    target = context.simple_framebuffer((side, side), components=4)
    return target, context.texture((1, 1), 4, data=bytes((0, 0, 0, 255)))
