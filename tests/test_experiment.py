"""An experiment's identity covers what can change the weights; misspellings are answered.

.venv/bin/python -m pytest tests/test_experiment.py
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from generators.drawer import UsageError
from suite import checkpoint, comparison, drawers
from suite.configuration import PRESETS, configure, experiment_of
from suite.experiment import Experiment, experiment_from, full


def experiment(*words: str) -> Experiment:
    return experiment_of(configure(list(words)))


@pytest.mark.parametrize(
    ("words", "frames"),
    [
        (("source=dead_leaves",), 1024),
        (("source=dead_leaves", "pool=null"), 208),
        (("source=rcdb",), 208),
        (("source=spectrum",), 208),
        (("source=rcdb", "frontend=kaldi"), 1024),
    ],
)
def test_pictures_to_be_seen_whole_are_as_long_as_an_input(words: tuple[str, ...], frames: int) -> None:
    source = experiment(*words).build_source(Path("data"), Path("cache"))
    assert vars(source)["width"] == frames


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("source=noise", "source.sample_rate=8000"), "source.sample_rate=8000"),
        (
            ("source=mixture", "source.parts.noise.sample_rate=8000", "source.parts.audiopg=1"),
            "source.parts.noise.sample_rate=8000",
        ),
        (
            ("source=shuffled_patches", "source.of.noise.sample_rate=8000"),
            "source.of.noise.sample_rate=8000",
        ),
    ],
)
def test_a_sound_at_another_rate_than_the_front_ends_is_refused(
    words: tuple[str, ...], where: str
) -> None:
    with pytest.raises(UsageError, match=f"{re.escape(where)}: .*16000 Hz"):
        experiment(*words).build_source(Path("data"), Path("cache"))


def build(built: Experiment) -> None:
    """Everything that checks a field."""
    built.build_source(Path("data"), Path("cache"))
    built.build_masking()
    built.build_objective()


CHANGES_WEIGHTS = (
    "seed=1",
    "source=noise",
    "source.f0_high=1000.0",
    "source.seconds=5.0",
    "masking.ratio=0.8",
    "objective.normalise_pixels=false",
    "scale=tiny",
    "scale.width=64",
    "scale.batch=64",
    "scale.samples_seen=204800",
    "scale.learning_rate=2.0e-3",
    "scale.decoder.depth=1",
    "scale.patch=[16,8]",
    "frontend=kaldi",
    "frontend.bands=64",
    "frontend.frames=96",
    "training.warmup=0.2",
    "training.schedule=constant",
    "training.weight_decay=0.1",
    "training.decay_all=true",
    "training.betas=[0.9,0.99]",
    "training.clip_norm=null",
    "training.precision=float32",
    "pool=512",
    "pool=null",
    "control=untrained",
    "control=mel_statistics",
)
CHANGES_NOTHING = (
    "device=cpu",
    "threads=2",
    "workers=3",
    "paths.data=/elsewhere",
    "paths.runs=/elsewhere",
    "paths.cache=/elsewhere",
    "paths.results=/elsewhere",
    "log_every=7",
    "checkpoint_seconds=1",
    "curve=[0.1]",
    "tasks=[esc50]",
    "probes=[knn]",
    "count=3",
    "dry=true",
    "run=runs/x",
    "comparison=quick",
)


def test_whatever_can_change_the_weights_changes_the_run() -> None:
    words = [word for word in CHANGES_WEIGHTS if not word.startswith("source.f0")]
    runs = [experiment(), *(experiment(word) for word in words)]
    identities = [run.run_id for run in runs]
    for (first, one), (second, other) in itertools.combinations(enumerate(identities), 2):
        assert one != other, (["", *words][first], ["", *words][second])


@pytest.mark.parametrize("name", drawers.sources.names())
def test_every_field_of_a_source_changes_the_run(name: str) -> None:
    """Each field's default is typed with another value of its type."""
    node = configure([f"source={name}"]).source
    base = [f"source={name}"]
    if name == "recordings":
        base.append("source.folder=some/where")
    original = experiment(*base).run_id
    changed = 0
    for key, value in node.items():
        if isinstance(value, bool):
            word = f"source.{key}={not value}"
        elif isinstance(value, (int, float)):
            word = f"source.{key}={value + 1}"
        elif OmegaConf.is_dict(value):  # sources it is made of
            word = f"source.{key}.noise.colour=pink"
        else:
            continue
        assert experiment(*base, word).run_id != original, word
        changed += 1
    assert changed


@pytest.mark.parametrize("word", CHANGES_NOTHING)
def test_whatever_cannot_change_the_weights_keeps_the_run(word: str) -> None:
    assert experiment(word).run_id == experiment().run_id


def test_a_control_depends_only_on_what_it_uses() -> None:
    for word in ("source=noise", "pool=512", "training.warmup=0.2", "scale.learning_rate=1.0"):
        assert experiment("control=untrained", word).run_id == experiment("control=untrained").run_id
    for word in ("seed=1", "scale.width=64", "frontend=kaldi"):
        assert experiment("control=untrained", word).run_id != experiment("control=untrained").run_id
    for word in ("seed=1", "scale=base", "source=noise"):
        mel = experiment("control=mel_statistics", word)
        assert mel.run_id == experiment("control=mel_statistics").run_id


def test_a_run_is_named_by_source_objective_scale_and_seed() -> None:
    assert experiment("seed=4").run_id.startswith("audiopg-mae-nano-s4-")
    assert experiment("control=untrained").run_id.startswith("untrained-mae-nano-s0-")


def test_equal_values_are_one_run_however_they_are_typed() -> None:
    assert experiment("masking.ratio=0.75", "seed=0").run_id == experiment().run_id
    assert experiment("training.clip_norm=1").run_id == experiment().run_id


def test_a_label_names_the_fields_that_were_changed() -> None:
    assert experiment("source=noise").label == "noise"
    assert experiment("source=noise", "source.colour=pink").label == "noise colour=pink"
    assert experiment("source=noise").is_control
    assert not experiment().is_control


@pytest.mark.parametrize("source", drawers.sources.names())
@pytest.mark.parametrize("frontend", list(drawers.presets("frontend")))
def test_experiment_yaml_round_trips(source: str, frontend: str, tmp_path: Path) -> None:
    more = ["source.folder=x"] if source == "recordings" else []
    written = experiment(f"source={source}", f"frontend={frontend}", "seed=3", *more)
    checkpoint.write_experiment(tmp_path, full(written), "sourcebench pretrain seed=3")
    values, command = checkpoint.read_experiment(tmp_path)
    assert experiment_from(values) == written
    assert experiment_from(values).run_id == written.run_id
    assert command == "sourcebench pretrain seed=3"
    assert yaml.safe_load((tmp_path / "experiment.yaml").read_text())["seed"] == 3


# ---------------------------------------------------------------------------------------------------
# What is shipped parses and builds


@pytest.mark.parametrize("group", PRESETS)
def test_every_preset_opens_with_a_comment(group: str) -> None:
    for name, comment in drawers.presets(group).items():
        assert len(comment) > 5, name


@pytest.mark.parametrize("scale", list(drawers.presets("scale")))
@pytest.mark.parametrize("frontend", list(drawers.presets("frontend")))
def test_every_scale_builds_behind_every_front_end(scale: str, frontend: str) -> None:
    import torch

    built = experiment(f"scale={scale}", f"frontend={frontend}")
    images = torch.zeros(1, built.frontend.bands, built.frontend.frames, device="meta")
    with torch.device("meta"):
        steps, rows = built.build_objective().encoder.grid(images)
    built.build_masking()
    assert steps * rows > 1
    assert built.scale.steps > 100


@pytest.mark.parametrize("name", list(drawers.presets("comparison")))
def test_every_comparison_makes_cells(name: str) -> None:
    words = [f"comparison={name}"]
    grid = comparison.read(configure(words))
    cells = comparison.cells(grid, words)
    assert len({cell.experiment.run_id for cell in cells}) == len(cells)
    labels = {cell.experiment.label for cell in cells}
    assert {"untrained", "mel_statistics"} <= set(grid.controls) <= labels
    assert len(cells) > grid.seeds * len(grid.sources)
    settings = comparison.settings(grid, words)
    assert settings.task_names == grid.tasks
    for cell in cells:
        typed = cell.command.split(" ", 2)
        assert typed[:2] == ["sourcebench", "pretrain"]


def test_the_command_of_a_cell_makes_the_cell() -> None:
    import shlex

    words = ["comparison=esc50-nano", "scale.width=64"]
    for cell in comparison.cells(comparison.read(configure(words)), words):
        again = experiment_of(configure(shlex.split(cell.command)[2:]))
        assert again == cell.experiment


# ---------------------------------------------------------------------------------------------------
# Misspellings are answered with their neighbours


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("source=audiopgg", "'audiopg'"),
        ("masking=randm", "'random'"),
        ("objective=mea", "'mae'"),
        ("scale=nanno", "'nano'"),
        ("frontend=kald", "'kaldi'"),
        ("comparison=quik", "'quick'"),
        ("source.secnds=3", "'seconds'"),
        ("masking.ration=0.5", "'ratio'"),
        ("scale.widht=3", "'width'"),
        ("frontend.band=3", "'bands'"),
        ("training.warmpu=0.1", "'warmup'"),
        ("paths.dta=x", "'data'"),
        ("sed=3", "'seed'"),
        ("pol=3", "'pool'"),
        ("scale.decoder.widht=3", "'width'"),
        ("+sed=3", "'seed'"),
        ("seed", "key=value"),
        ("--seed", "key=value"),
        ("source=", "unknown source ''"),
    ],
)
def test_a_misspelling_is_answered_with_its_neighbour(word: str, answer: str) -> None:
    with pytest.raises(UsageError, match=re.escape(answer)):
        configure([word])


@pytest.mark.parametrize(
    "word",
    [
        "source.seconds=long",
        "source.colour=green",
        "masking.ratio=most",
        "objective.normalise_pixels=3",
        "scale.width=wide",
        "scale.width=16.5",
        "scale.patch=[16]",
        "scale.patch=16",
        "scale.decoder.depth=deep",
        "scale.learning_rate=fast",
        "scale.learning_rate=-1",
        "scale.batch=0",
        "scale.samples_seen=1",
        "frontend.bands=many",
        "frontend.family=constant_q",
        "frontend.statistics=batch",
        "frontend.std=0",
        "training.schedule=step",
        "training.betas=[0.9]",
        "training.warmup=soon",
        "training.clip_norm=-1",
        "training.warmup=1.5",
        "training.weight_decay=-0.1",
        "seed=one",
        "seed=1.5",
        "pool=0",
        "pool=-5",
        "pool=some",
        "control=untraind",
        "log_every=0",
        "log_every=often",
        "curve=0.5",
        "tasks=esc50",
        "probes=linear",
        "threads=0",
        "threads=all",
        "workers=0",
        "workers=two",
        "count=none",
        "checkpoint_seconds=soon",
        "dry=perhaps",
        "scale.width=[",
        "seed=${nothing}",
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_its_key(word: str) -> None:
    key = word.partition("=")[0].rpartition(".")[2]
    with pytest.raises(UsageError, match=key):
        build(experiment("source=noise", word))


def test_a_source_that_needs_a_field_says_so() -> None:
    with pytest.raises(UsageError, match=r"source\.(folder|manifest)"):
        experiment("source=recordings").build_source(Path("data"), Path("cache"))


@pytest.mark.parametrize("word", ["seed=3", "source=noise", "control=untrained", "tasks=[esc50]"])
def test_a_comparison_refuses_what_it_decides_itself(word: str) -> None:
    words = ["comparison=quick", word]
    with pytest.raises(UsageError, match=r"Type comparison\."):
        comparison.cells(comparison.read(configure(words)), words)


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("comparison.seeds=0", "comparison.seeds"),
        ("comparison.seeds=many", "comparison.seeds"),
        ("comparison.controls=[untraind]", "'untrained'"),
        ("comparison.sources=audiopg", "comparison.sources"),
        ("comparison.sources=[audiopgg]", "'audiopg'"),
    ],
)
def test_a_malformed_grid_is_refused(word: str, answer: str) -> None:
    words = ["comparison=quick", word]
    with pytest.raises(UsageError) as caught:
        comparison.cells(comparison.read(configure(words)), words)
    assert answer in str(caught.value)


def test_words_typed_later_win_over_those_of_the_comparison() -> None:
    words = ["comparison=quick", "scale.samples_seen=5120", "pool=7", "comparison.seeds=1"]
    grid = comparison.read(configure(words))
    cells = comparison.cells(grid, [*words, "paths.results=elsewhere"])
    trained = [cell.experiment for cell in cells if cell.experiment.control is None]
    assert {run.scale.samples_seen for run in trained} == {5120}
    assert {run.pool for run in trained} == {7}
    assert {run.seed for run in trained} == {0}
    assert comparison.settings(grid, words).results == Path("runs/quick")
    assert comparison.settings(grid, [*words, "paths.results=elsewhere"]).results == Path("elsewhere")


def test_plain_values_are_json() -> None:
    assert json.loads(json.dumps(full(experiment()))) == full(experiment())
