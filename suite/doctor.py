"""Is this machine fit? Each check is ok, or says what to do; nothing heavy is imported until asked."""

from __future__ import annotations

import importlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "sourcebench"
OLDEST_PYTHON = (3, 11)
FREE_BYTES = 5 * 10**9  # pools of a comparison of a few sources, and their runs
DEFAULT_DATA = Path("data")  # paths.data where nobody said anything
REINSTALL = "Type `pip install -e '.[dev]' -c constraints.txt` in the checkout, or `make clean test`."


@dataclass(frozen=True)
class Check:
    """One line of the diagnosis; ``cure`` says what to type where ``ok`` is False."""

    name: str
    ok: bool
    detail: str
    cure: str = ""


class Failing(Exception):
    """What a check found wrong, and the cure; an empty cure leaves it to the check's own."""

    def __init__(self, detail: str, cure: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.cure = cure


def checks(data: Path | None, folders: dict[str, Path]) -> list[Check]:
    """Diagnose this machine; a check that breaks is itself a finding and never hides the others.

    ``data`` is the folder of the data sets (``paths.data``; None where unset), ``folders`` the working
    folders by name (runs, cache, results): they need not exist yet, but it must be possible to write
    in them. No GPU and no data are facts, not failures: the suite works without either.
    """
    roomiest = folders.get("cache") or next(iter(folders.values()), Path.cwd())
    questions: list[tuple[str, Callable[[], str], str]] = [
        ("python", check_python, "Make the environment with a newer one: make PYTHON=python3.11 test"),
        ("packages", check_packages, REINSTALL),
        ("torch", check_torch, REINSTALL),
        ("torch pair", check_pair, f"torch and torchvision do not belong together. {REINSTALL}"),
        ("own packages", check_own_packages, REINSTALL),
        ("processor", check_processor, "Set threads=1, and tell the authors what this machine is."),
        ("gpu", check_gpu, "Repair the driver, or compute without it: device=cpu"),
        ("sound files", check_sound_files, f"libsndfile comes with soundfile. {REINSTALL}"),
        ("data", partial(check_data, data), REINSTALL),
        *(
            (f"{name} folder", partial(check_writable, path), f"Choose another: paths.{name}=...")
            for name, path in folders.items()
        ),
        (
            "disk",
            partial(check_disk, roomiest),
            "Free some, or move the pools: paths.cache=...",
        ),
        ("git", check_git, "Install git: without it no row knows the commit that made it."),
    ]
    return [answer(name, question, cure) for name, question, cure in questions]


def answer(name: str, question: Callable[[], str], cure: str) -> Check:
    """Ask one question; any error it raises becomes the finding, with the question's cure."""
    try:
        return Check(name, True, question())
    except Failing as found:
        return Check(name, False, found.detail, found.cure or cure)
    except Exception as error:  # a broken library raises anything when it is imported
        return Check(name, False, f"{type(error).__name__}: {error}", cure)


def check_python() -> str:
    """The interpreter is new enough."""
    if sys.version_info < OLDEST_PYTHON:
        raise Failing(f"Python {platform.python_version()} is older than 3.11.", "")
    return f"Python {platform.python_version()} at {sys.executable}"


def check_packages() -> str:
    """Every dependency is installed, at least as new as the package metadata asks."""
    wrong, right = [], 0
    for requirement in metadata.requires(DISTRIBUTION) or []:
        if "extra ==" in requirement:
            continue
        matched = re.match(r"([A-Za-z0-9._-]+)\s*(?:>=\s*([0-9.]+))?", requirement)
        assert matched is not None, requirement
        name, minimum = matched[1], matched[2] or "0"
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is not installed (needs >= {minimum})")
            continue
        if numbers(installed) < numbers(minimum):
            wrong.append(f"{name} {installed} is older than {minimum}")
        right += 1
    if wrong:
        raise Failing("; ".join(wrong), REINSTALL)
    return f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)} and its {right} dependencies"


def numbers(version: str) -> tuple[int, ...]:
    """The release numbers of a version: "2.15.0+cpu" is (2, 15), trailing zeros do not count."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    found = [int(part) for part in release[0].split(".")] if release else []
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def check_torch() -> str:
    """torch can be imported and computes."""
    torch = importlib.import_module("torch")
    if float((torch.eye(2) @ torch.ones(2, 1)).sum()) != 2.0:
        raise Failing("a product of two small matrices is wrong", REINSTALL)
    return f"torch {torch.__version__}"


def check_pair() -> str:
    """torchvision's operators load into this torch: timm imports them, and with them our encoder."""
    timm = importlib.import_module("timm")
    return f"torchvision {metadata.version('torchvision')} loads; timm {timm.__version__}"


def check_own_packages() -> str:
    """``generators`` and ``tasks`` are ours: some wheels install top-level packages of these names."""
    root = Path(__file__).resolve().parent.parent
    for name in ("generators", "tasks"):
        file = importlib.import_module(name).__file__
        found = Path(file).resolve() if file else None
        if found is None or found.parent.parent != root:
            raise Failing(
                f"`import {name}` finds {found or 'a folder without __init__.py'}, not {root / name}",
                f"Start from {root}, or uninstall the package that brings the other {name!r}.",
            )
    return f"suite, generators and tasks at {root}"


def check_processor() -> str:
    """Cores this process may use, and torch's threads."""
    torch = importlib.import_module("torch")
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    threads = torch.get_num_threads()
    if threads > cores:
        raise Failing(
            f"{cores} cores but {threads} threads: they will wait for each other",
            f"Type threads={cores} after the verb, or set OMP_NUM_THREADS={cores}.",
        )
    return f"{cores} cores, {threads} threads ({platform.machine()})"


def check_gpu() -> str:
    """The GPU and whether it has bfloat16; a machine without one is fit too."""
    torch = importlib.import_module("torch")
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")  # torch warns where a driver is too old
        available = torch.cuda.is_available()
    if not available:
        reason = f" ({str(raised[0].message).splitlines()[0]})" if raised else ""
        return f"none{reason}: everything runs on the CPU"
    properties = torch.cuda.get_device_properties(0)
    precision = "bfloat16" if torch.cuda.is_bf16_supported() else "float32 only, no bfloat16"
    size = f"{properties.total_memory / 2**30:.0f} GiB"
    return f"{torch.cuda.device_count()} x {properties.name}, {size}, {precision}"


def check_sound_files() -> str:
    """libsndfile decodes what data sets come in: WAV, FLAC and Ogg Vorbis."""
    numpy, soundfile = importlib.import_module("numpy"), importlib.import_module("soundfile")
    tone = 0.5 * numpy.sin(numpy.arange(16_000) * 0.1)
    for kind in ("WAV", "FLAC", "OGG"):
        encoded = io.BytesIO()
        soundfile.write(encoded, tone, 16_000, format=kind)
        encoded.seek(0)
        decoded, _ = soundfile.read(encoded)
        if len(decoded) != len(tone) or abs(decoded - tone).max() > 0.1:
            raise Failing(f"{kind} comes back changed ({soundfile.__libsndfile_version__})", "")
    return f"libsndfile {soundfile.__libsndfile_version__} decodes WAV, FLAC and Ogg Vorbis"


def check_data(data: Path | None) -> str:
    """Which data sets of our tasks lie below ``data``; none set is a fact, a wrong path a failure."""
    example = "SOURCEBENCH_DATA=/path/to/datasets"
    if data is None or (data == DEFAULT_DATA and not data.exists()):
        return f"not set: embedded tasks only (to use others: export {example})"
    if not data.is_dir():
        raise Failing(
            f"{data} is not a folder",
            f"Say where the data sets are: export {example}, or paths.data=...",
        )
    tasks = importlib.import_module("tasks")
    classes = {name: tasks.catalogue.get(name) for name in tasks.names()}
    wanted = {name: task.folder for name, task in classes.items() if not task.embedded}
    found = [name for name, folder in wanted.items() if (data / folder).is_dir()]
    missing = [f"{name} (no {folder}/)" for name, folder in wanted.items() if name not in found]
    parts = [f"found {', '.join(found) or 'no data set'}"]
    parts += [f"not there: {', '.join(missing)}"] if missing else []
    archives = importlib.import_module("tasks.archives")
    sources = {archives.of_folder(folder) for name, folder in wanted.items() if name not in found}
    fetched = " ".join(sorted(source for source in sources if source))
    parts += [f"to get them: sourcebench fetch {fetched}"] if fetched else []
    return f"{data}: {'; '.join(parts)}"


def check_writable(folder: Path) -> str:
    """A file can be written in ``folder``, or in the folder it would be made in."""
    place = nearest(folder)
    if not place.is_dir():
        raise Failing(f"{place} is not a folder", "")
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"sourcebench")
    except OSError as error:
        raise Failing(f"{place} cannot be written: {error.strerror}", "") from error
    return f"{folder} is writable" if place == folder else f"{folder} can be made"


def check_disk(folder: Path) -> str:
    """Enough room for pools and runs."""
    free = shutil.disk_usage(nearest(folder)).free
    if free < FREE_BYTES:
        raise Failing(
            f"{free / 1e9:.1f} GB free at {folder}; a comparison of a few sources wants "
            f"{FREE_BYTES / 1e9:.0f} GB",
            "",
        )
    return f"{free / 1e9:.0f} GB free at {folder}"


def nearest(folder: Path) -> Path:
    """``folder``, or its nearest ancestor that exists."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())


def check_git() -> str:
    """git tells the commit that every row carries."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "an installed package, not a checkout: rows carry the version"
    if shutil.which("git") is None:
        raise Failing("no git on the PATH", "")
    command = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failing(
            f"git cannot read {root}: {done.stderr.strip()}",
            "Do what git says; until then no row knows the commit that made it.",
        )
    return f"commit {done.stdout.strip()}"
