"""The table of properties: every source measured as the encoder sees it, beside real log-mels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from generators import properties
from generators.base import Source
from generators.drawer import DataMissing, UsageError
from generators.properties import NAMES, Interval
from suite import drawers
from suite.configuration import configure, experiment_of
from suite.experiment import Experiment
from suite.frontend import FrontEnd
from suite.gallery import SOUNDS, brought, standing, time_limit
from suite.rows import write_atomically
from suite.stream import Stream

TABLE, VALUES = "properties.md", "properties.csv"
TOGETHER = 16  # samples rendered at once
REAL = "real log-mels"  # the row of the reference itself: other recordings, so its distance is a floor
REFERENCE = 256  # inputs whose moments are the reference

LEGEND = (
    "Value ± half of its 95 % interval over inputs, in standard deviations of each source, as the "
    "encoder sees it. variation: mean absolute difference of neighbouring pixels. spectral_slope: "
    "exponent of the power spectrum; slope_spread: its standard deviation. anisotropy: 0 no "
    "orientation, 1 one alone. entropy: bits of 256 levels. bits_per_pixel: compressed without loss. "
    "neighbour_predictability: 1 a patch equals its neighbour, 0 a stranger. flat_share: patches that "
    "are nearly constant. patch_rank: effective components of 256. diversity: 0 alike, 1 unrelated. "
    "frechet: distance of the patches to those of real recordings, squared, per pixel."
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """What :func:`tabulate` made: the files, the Markdown, and reasons by source."""

    paths: tuple[Path, ...]
    markdown: str
    missing: dict[str, str]  # sources that need what is not there
    failures: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Real log-mels that sources are compared with: the patches' moments, a hash of their origin."""

    key: str
    moments: tuple[Tensor, Tensor]


def tabulate(words: list[str], tell: Callable[[str], None]) -> Table:
    """Measure ``source=NAME,NAME|all`` and write ``properties.md`` and ``properties.csv`` below runs.

    ``words`` are the keys as typed. The reference of the Fréchet distance is ``pretrain_real`` in the
    data folder; without it that column is empty, and ``tell`` says so. A measurement is kept in the
    cache: typed again, only what has changed is measured. One of several sources that fails, or takes
    longer than ``patience`` seconds, is named and the others are measured.

    Raises :class:`UsageError` for words that are wrong whatever the source.
    """
    names = asked(words)
    fields = [word for word in words if word.startswith("source.")]
    general = [word for word in words if not word.startswith(("source.", "source="))]
    if fields and len(names) > 1:
        raise UsageError(
            f"{fields[0]} is a field of one source. Type source=NAME {fields[0]}, or leave it out."
        )
    config = configure(general)
    data, cache = Path(config.paths.data), Path(config.paths.cache)
    count, patience = int(config["inputs"]), float(config["patience"])
    if count < properties.LEAST:
        raise UsageError(
            f"inputs={count}: an interval needs at least {properties.LEAST} inputs. Type inputs=64."
        )
    experiment_of(config)  # what is wrong with all of them is said once
    rows: dict[str, dict[str, Interval]] = {}
    missing: dict[str, str] = {}
    failures: dict[str, str] = {}

    reference = None
    if (data / SOUNDS).is_dir():
        typed = ["source=recordings", f"source.folder={SOUNDS}", *general]
        experiment = experiment_of(configure(typed))
        source = experiment.build_source(data, cache)
        reference = real_log_mels(source, experiment, count)
        rows[REAL] = measured(source, experiment, count, cache, reference)
    else:
        tell(f"no frechet: {data / SOUNDS} is not there. Set paths.data=... or SOURCEBENCH_DATA=...")

    for name in sorted(names, key=lambda name: (standing(name), name)):
        try:
            with time_limit(patience):
                typed = [f"source={name}", *(fields or brought(name, data)), *general]
                experiment = experiment_of(configure(typed))
                source = experiment.build_source(data, cache)
                rows[experiment.label] = measured(source, experiment, count, cache, reference)
        except Exception as error:  # one source must not spoil the rest; all are named at the end
            if len(names) == 1:
                raise
            needy = drawers.facts(name)["needs"] != "nothing"
            if needy and isinstance(error, (UsageError, DataMissing)):
                missing[name] = str(error)
            else:
                failures[name] = f"{type(error).__name__}: {error}"
        failed = f"failed: {failures[name]}" if name in failures else "measured"
        tell(f"{name:<24} {missing.get(name, failed)}")
    markdown = f"{as_markdown(rows)}\n\n{LEGEND} {count} inputs of each source.\n"
    out = Path(config.paths.runs) / "properties"
    written = {out / TABLE: markdown, out / VALUES: as_csv(rows, count)}
    for path, text in written.items():
        write_atomically(path, text.encode())
    return Table(paths=tuple(written), markdown=markdown, missing=missing, failures=failures)


def asked(words: list[str]) -> list[str]:
    """The sources that are typed as ``source=all`` or ``source=NAME,NAME``."""
    typed = [word.partition("=")[2].strip("[]") for word in words if word.startswith("source=")]
    if len(typed) != 1 or not typed[0]:
        raise UsageError("which sources? Type source=all, or for example source=audiopg,dead_leaves.")
    known = drawers.sources.names()
    names = known if typed[0] == "all" else typed[0].split(",")
    for name in set(names) - set(known):
        drawers.sources.get(name)  # raises, before anything is measured
    return list(dict.fromkeys(names))


# ---------------------------------------------------------------------------------------------------
# One source


def inputs(source: Source, experiment: Experiment, first: int, count: int) -> Tensor:
    """Raw inputs ``first`` to ``first + count - 1``, ``(count, F, frames)``, cut out as in training."""
    raw = replace(experiment.frontend, mean=0.0, std=1.0, divisor=1.0)
    stream = Stream(source, raw, TOGETHER, experiment.seed)
    steps = range(first // TOGETHER, -(-(first + count) // TOGETHER))
    images = torch.cat([stream.batch(step, 0, 1, torch.device("cpu")) for step in steps])
    begin = first - steps.start * TOGETHER
    return images[begin : begin + count]


def standardised(images: Tensor, frontend: FrontEnd, origin: str) -> Tensor:
    """Raw inputs in their own standard deviations from their mean."""
    of_source = frontend.measured_on(images, f"source {origin!r}")
    return (images - of_source.mean) / of_source.std


def real_log_mels(source: Source, experiment: Experiment, after: int) -> Reference:
    """The reference, from recordings that come ``after`` those that are measured themselves."""
    images = inputs(source, experiment, after, REFERENCE)
    moments = properties.moments(standardised(images, experiment.frontend, source.name))
    return Reference(key=digest(source, experiment, after, ""), moments=moments)


def digest(source: Source, experiment: Experiment, count: int, reference: str) -> str:
    """A hash of everything that decides a measurement."""
    made_of = {
        "source": {key: str(value) for key, value in source.identity().items()},
        "frontend": experiment.frontend.plain(),
        "inputs": count,
        "reference": [reference, REFERENCE],
        "version": properties.VERSION,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def measured(
    source: Source, experiment: Experiment, count: int, cache: Path, reference: Reference | None
) -> dict[str, Interval]:
    """The properties of ``count`` inputs of a source: from ``cache``, or measured and kept there."""
    key = digest(source, experiment, count, reference.key if reference else "")
    path = cache / "properties" / f"{source.name}-{key}.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {name: Interval(**interval) for name, interval in kept.items()}
    images = standardised(inputs(source, experiment, 0, count), experiment.frontend, source.name)
    found = properties.measure(images, reference.moments if reference else None)
    plain = {name: asdict(interval) for name, interval in found.items()}
    write_atomically(path, json.dumps(plain, indent=1).encode())
    return found


# ---------------------------------------------------------------------------------------------------
# The table


def as_markdown(rows: dict[str, dict[str, Interval]]) -> str:
    """A row a source, a column a property: value ± half of its interval, or a dash."""
    lines = ["| source | " + " | ".join(NAMES) + " |", "|:--|" + "--:|" * len(NAMES)]
    for label, found in rows.items():
        cells = [shown(found.get(name)) for name in NAMES]
        lines.append("| " + " | ".join([label.replace("_", r"\_"), *cells]) + " |")
    return "\n".join(lines)


def shown(interval: Interval | None) -> str:
    """``1.23 ± 0.04``: as many decimals as the interval's first two digits justify."""
    if interval is None:
        return "\N{EN DASH}"
    half = (interval.high - interval.low) / 2.0
    decimals = 3 if half < 0.095 else 2 if half < 0.95 else 1
    return f"{interval.value:.{decimals}f} ± {half:.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def as_csv(rows: dict[str, dict[str, Interval]], count: int) -> str:
    """A line a source: value, low and high of every property, empty where it was not measured."""
    lines = []
    for label, found in rows.items():
        line: dict[str, str | int | float] = {"source": label, "inputs": count}
        for name, interval in found.items():
            line |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
        lines.append(line)
    ends = ("", "_low", "_high")
    columns = ["source", "inputs", *(f"{name}{end}" for name in NAMES for end in ends)]
    return pd.DataFrame(lines, columns=columns).to_csv(index=False, lineterminator="\n")
