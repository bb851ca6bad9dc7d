"""Is a foreign encoder fit to be judged? What HEAR promises, checked on sounds that are made here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from generators.drawer import BadData
from suite.foreign import Foreign
from suite.machine import Machine, peak_memory
from suite.stream import generator_of

Verdict = Literal["ok", "warning", "error"]

TOLERANCE = 1e-4  # largest difference of two embeddings, relative to the largest entry
HALF_TOLERANCE = 0.05  # the same in half precision; bfloat16 rounds each product by up to 0.004
DURATIONS = (1.07, 1.98, 4.0)  # seconds of timestamp checks, as in HEAR's validator (spec 2.1)
LONG = 20.0  # seconds over which a rounded hop shows as drift
SHORTEST = (1.0, 0.5, 0.25, 0.1, 0.05, 0.025, 0.01)  # seconds, tried until one fails
HOP_ADVISED = 0.050  # seconds between two timestamps, at most
EVEN = 0.001  # seconds that a timestamp may be off an even grid


@dataclass(frozen=True)
class Finding:
    """What one check found, in a sentence."""

    check: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class Health:
    """The findings of all checks, in the order in which they were made."""

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """One line for rows: ``healthy``, or every check that found fault."""
        faults = [f"{found.check}: {found.detail}" for found in self.findings if found.verdict != "ok"]
        return f"health check: {'; '.join(faults) if faults else 'all checks passed'}"

    @property
    def lines(self) -> list[str]:
        """One line a finding, for the terminal."""
        mark = {"ok": "ok     ", "warning": "WARNING", "error": "ERROR  "}
        return [f"{mark[found.verdict]} {found.check:<16} {found.detail}" for found in self.findings]

    def plain(self) -> list[dict[str, Any]]:
        """The findings as plain values."""
        return [asdict(found) for found in self.findings]


def check(foreign: Foreign, machine: Machine) -> Health:
    """Every check, each on its own: one that fails is a finding and does not stop the others."""
    found: list[Finding] = []
    for name, examine in CHECKS.items():
        try:
            found += [Finding(name, verdict, detail) for verdict, detail in examine(foreign, machine)]
        except BadData as error:  # an answer that is not what was promised
            found.append(Finding(name, "error", str(error)))
        except Exception as error:  # a foreign module may fail in any way; which is the finding
            found.append(Finding(name, "error", f"raised {type(error).__name__}: {error}"))
    return Health(tuple(found))


Found = Iterator[tuple[Verdict, str]]


def noise(foreign: Foreign, machine: Machine, sounds: int, seconds: float) -> Tensor:
    """White noise ``(sounds, samples)``, uniform in [-0.5, 0.5]; the same at every call."""
    samples = round(seconds * foreign.sample_rate)
    drawn = torch.rand(sounds, samples, generator=generator_of("health", sounds, seconds)) - 0.5
    return drawn.to(machine.device)


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference of two embeddings relative to their largest entry."""
    scale = max(float(one.abs().max()), float(other.abs().max()), 1e-12)
    return float((one - other).abs().max()) / scale


def at_most(found: float, most: float, fault: Verdict) -> Verdict:
    """The verdict on a difference: ``fault`` where it is larger than ``most``, or no number."""
    return "ok" if found <= most else fault


def promises(foreign: Foreign, machine: Machine) -> Found:
    """Shapes and sizes as the model's attributes say, on the validator's durations."""
    foreign.scenes(noise(foreign, machine, 4, 2.74))
    for seconds in DURATIONS:
        foreign.timestamps(noise(foreign, machine, 2, seconds))
    model = foreign.model
    yield (
        "ok",
        f"{foreign.sample_rate} Hz, scenes of {model.scene_embedding_size}, steps of "
        f"{model.timestamp_embedding_size}, {foreign.parameters:,} parameters",
    )


def kinds(foreign: Foreign, machine: Machine) -> Found:
    """float32 answers without gradients, by a model that is not in training."""
    heard = noise(foreign, machine, 1, 1.0)
    scene = foreign.module.get_scene_embeddings(heard, foreign.model)
    steps, _ = foreign.module.get_timestamp_embeddings(heard, foreign.model)
    asked = {"scene embeddings": scene, "timestamp embeddings": steps}
    wrong = [f"{name} are {said.dtype}" for name, said in asked.items() if said.dtype != torch.float32]
    yield ("error", f"{', '.join(wrong)}; expected float32") if wrong else ("ok", "float32")
    if scene.requires_grad or steps.requires_grad:
        yield "warning", "answers carry gradients: memory is kept for nothing"
    if isinstance(foreign.model, nn.Module) and foreign.model.training:
        yield "warning", "the model is in training mode: dropout and batch statistics are at work"


def deterministic(foreign: Foreign, machine: Machine) -> Found:
    """The same sounds twice."""
    heard = noise(foreign, machine, 3, 2.0)
    found = apart(foreign.scenes(heard), foreign.scenes(heard))
    yield at_most(found, TOLERANCE, "error"), f"the same sounds twice differ by {found:.1g}"


def batches(foreign: Foreign, machine: Machine) -> Found:
    """A sound alone and among others."""
    heard = noise(foreign, machine, 4, 2.0)
    together = foreign.scenes(heard)
    found = max(apart(foreign.scenes(heard[i : i + 1]), together[i : i + 1]) for i in range(2))
    yield at_most(found, TOLERANCE, "error"), f"a sound alone and in a batch differ by {found:.1g}"


def halved(foreign: Foreign, machine: Machine) -> Found:
    """Scenes under autocast: in bfloat16, and on a GPU in float16 too.

    Nobody promised that they are the same, so no more than a warning comes of it.
    """
    heard = noise(foreign, machine, 2, 2.0)
    whole = foreign.scenes(heard)
    device = machine.device.type
    for kind in (torch.bfloat16, torch.float16) if device == "cuda" else (torch.bfloat16,):
        name = f"{kind} autocast".removeprefix("torch.")
        try:
            with torch.autocast(device, dtype=kind):
                found = apart(whole, foreign.scenes(heard))
        except Exception as error:  # whichever way a foreign module fails
            yield "warning", f"{name} is not survived ({type(error).__name__}: {error})"
            continue
        yield at_most(found, HALF_TOLERANCE, "warning"), f"{name} changes scenes by {found:.1g}"


def padded(foreign: Foreign, machine: Machine) -> Found:
    """Silence behind a sound does not change its first half."""
    heard = noise(foreign, machine, 1, 2.0)
    longer = torch.nn.functional.pad(heard, (0, heard.shape[1]))
    steps, times = foreign.timestamps(heard)
    more, _ = foreign.timestamps(longer)
    early = int((times[0] < 1.0).sum())
    found = apart(steps[:, :early], more[:, :early])
    scene = apart(foreign.scenes(heard), foreign.scenes(longer))
    yield (
        at_most(found, TOLERANCE, "warning"),
        f"2 s of silence behind 2 s of noise change its first second by {found:.1g}, the scene by "
        f"{scene:.1g}",
    )


def timed(foreign: Foreign, machine: Machine) -> Found:
    """Timestamps: even, advised hop, from the beginning to the end and not beyond."""
    for seconds in (*DURATIONS, LONG):
        times = foreign.timestamps(noise(foreign, machine, 1, seconds))[1][0]
        if len(times) < 2:
            yield "warning", f"{len(times)} timestamp in {seconds} s: no hop can be told"
            continue
        hop = float((times[-1] - times[0]) / (len(times) - 1))
        even = times[0] + hop * torch.arange(len(times), dtype=torch.float64)
        uneven = float((times - even).abs().max())
        faults: list[tuple[Verdict, str]] = []
        if hop <= 0 or uneven > EVEN:
            faults.append(("error", f"timestamps are off an even grid by {1000 * uneven:.2f} ms"))
        if float(times[-1]) > seconds:
            faults.append(("error", f"the last timestamp, {times[-1]:.3f} s, lies beyond the sound"))
        if float(times[-1]) < seconds - 2 * max(hop, 0.0) - 0.5:
            seconds_for_ms = 1000 * float(times[-1]) > 0.5 * seconds
            cure = ": are they seconds? HEAR wants milliseconds" if seconds_for_ms else ""
            faults.append(("error", f"the last timestamp is {times[-1]:.3f} s of {seconds} s{cure}"))
        if float(times[0]) > hop:
            faults.append(("warning", f"the first timestamp, {times[0]:.3f} s, is later than a hop"))
        if hop > HOP_ADVISED and seconds == LONG:
            faults.append(("warning", f"a hop of {1000 * hop:.1f} ms; HEAR advises 50 ms at most"))
        yield from faults or [("ok", f"{len(times)} in {seconds} s, every {1000 * hop:.2f} ms")]


def extremes(foreign: Foreign, machine: Machine) -> Found:
    """Silence, a whisper and full scale give numbers; a gain changes little or much, which is told."""
    heard = noise(foreign, machine, 1, 2.0)
    sounds = {"silence": 0.0 * heard, "noise at -80 dB": 2e-4 * heard, "noise at full scale": 2 * heard}
    bad = []
    for name, sound in sounds.items():
        said = foreign.module.get_scene_embeddings(sound, foreign.model)
        if not torch.as_tensor(said).isfinite().all():
            bad.append(name)
    yield (
        ("error", f"NaN or infinity for {' and '.join(bad)}")
        if bad
        else ("ok", "numbers for silence, -80 dB and full scale")
    )
    half = torch.nn.functional.cosine_similarity(foreign.scenes(heard), foreign.scenes(heard / 2))
    yield "ok", f"6 dB less turn a scene to a cosine of {float(half):.3f}"


def shortest(foreign: Foreign, machine: Machine) -> Found:
    """The shortest sound that is answered."""
    answered: float | None = None
    for seconds in SHORTEST:
        try:
            foreign.scenes(noise(foreign, machine, 1, seconds))
        except Exception as error:  # whichever way a foreign module fails
            if answered is None:
                yield "error", f"not even {seconds} s is answered ({type(error).__name__}: {error})"
                return
            yield "warning", f"{answered} s is answered, {seconds} s is not ({type(error).__name__})"
            return
        answered = seconds
    yield "ok", f"{answered} s"


def costs(foreign: Foreign, machine: Machine) -> Found:
    """Throughput and memory on a batch of ten-second sounds."""
    heard = noise(foreign, machine, 4, 10.0)
    foreign.scenes(heard[:1])
    began = time.perf_counter()
    foreign.scenes(heard)
    rate = len(heard) * 10.0 / (time.perf_counter() - began)
    yield "ok", f"{rate:.0f} s of sound a second, peak memory {peak_memory(machine) / 1e9:.2f} GB"


CHECKS: dict[str, Callable[[Foreign, Machine], Found]] = {
    "sizes": promises,
    "types": kinds,
    "determinism": deterministic,
    "batch": batches,
    "half precision": halved,
    "padding": padded,
    "timestamps": timed,
    "extremes": extremes,
    "shortest sound": shortest,
    "cost": costs,
}
