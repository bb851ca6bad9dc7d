"""The published recipes: what they set, how large they are, and that each learns at small scale.

.venv/bin/python -m pytest tests/test_recipes.py
"""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import tiny_runs
import torch

from generators.drawer import UsageError
from suite import checkpoint, drawers, recipe
from suite import pretrain as pretraining
from suite.configuration import configure, experiment_of
from suite.evaluate import evaluate
from suite.experiment import Experiment
from tasks import create

EVERY = tuple(drawers.presets("experiment"))
FROZEN = ("objective.regulariser_from=some_hear_module",)  # what CAT's needs, beside its own words


def published(name: str) -> Experiment:
    return experiment_of(configure([f"experiment={name}", *(FROZEN if name == "cat" else ())]))


def test_the_five_systems_are_there() -> None:
    assert set(EVERY) == {"audiopg", "msm_mae", "audio_mae", "eat", "cat"}


@pytest.mark.parametrize("name", EVERY)
def test_a_recipe_opens_with_what_it_should_reach_and_where_that_is_said(name: str) -> None:
    first, second = (recipe.FOLDER / f"{name}.yaml").read_text().splitlines()[:2]
    assert "%" in first or "mAP" in first
    assert second.startswith("# spec: ")
    assert recipe.read(name).keys() == {"always", "published", "nano", "tiny"}


@pytest.mark.parametrize(
    ("name", "encoder", "beside"),
    [
        ("audiopg", 85_254_144, 25_745_664),  # spec/sources_and_mae.md 1.5
        ("eat", 85_254_144, 2_585_856),  # spec/bootstrap_and_masking.md A.2: 85.25 M, 2.59 M
        ("msm_mae", 85_254_144 - 12 * 768, None),  # one bias less a block
        ("cat", 88_774_784, None),  # B.1: 88.8 M
        ("audio_mae", 85_254_144, None),
    ],
)
def test_networks_are_as_large_as_published(name: str, encoder: int, beside: int | None) -> None:
    experiment = published(name)
    with torch.device("meta"):
        objective = experiment.build_objective(512)
    counted = sum(p.numel() for p in objective.encoder.parameters())
    assert counted == encoder
    if beside is not None:
        learnt = sum(p.numel() for p in objective.parameters() if p.requires_grad)
        assert learnt - counted == beside


@pytest.mark.parametrize(
    ("name", "steps", "batch", "rate", "warmup", "decay", "grid"),
    [
        ("audiopg", 156_500, 16, 1e-4, 0, 0.05, (64, 8)),
        ("audio_mae", 123_243, 512, 4e-4, 11_202, 1e-4, (64, 8)),
        ("msm_mae", 373_463, 512, 6e-4, 37_346, 0.05, (32, 5)),
        ("eat", 400_000, 48, 5e-4, 53_333, 0.05, (64, 8)),
        ("cat", 400_000, 192, 5e-4, 53_333, 0.05, (64, 8)),
    ],
)
def test_schedules_are_as_published(
    name: str, steps: int, batch: int, rate: float, warmup: int, decay: float, grid: tuple[int, int]
) -> None:
    experiment = published(name)
    scale, training, frontend = experiment.scale, experiment.training, experiment.frontend
    assert (scale.steps, scale.batch, scale.learning_rate) == (steps, batch, rate)
    assert int(training.warmup * scale.steps) == pytest.approx(warmup, abs=1)
    assert training.weight_decay == decay
    assert (frontend.frames // scale.patch[1], frontend.bands // scale.patch[0]) == grid


def test_eat_s_clip_loss_weighs_what_it_weighs_in_the_paper_s_code() -> None:
    with torch.device("meta"):
        assert published("eat").build_objective().scaled(1.0, clips=48) == 192.0  # type: ignore[operator]
        assert published("cat").build_objective(512).scaled(1.0, clips=192) == 384.0  # type: ignore[operator]


def test_what_the_user_types_wins_over_the_recipe() -> None:
    experiment = experiment_of(configure(["experiment=eat", "scale=nano", "masking=random"]))
    assert experiment.masking == {"name": "random", "ratio": 0.75}
    assert experiment.scale.name == "nano"
    assert experiment.objective["clones"] == 4
    own = experiment_of(configure(["experiment=eat", "scale=nano", "frontend=msm_mae"]))
    assert own.frontend.mean == 0.0  # Kaldi's statistics went with Kaldi's front-end
    shorter = experiment_of(configure(["experiment=eat", "scale.samples_seen=4800"]))
    assert shorter.scale.steps == 100
    assert shorter.objective["clones"] == 16


def test_unknown_recipes_and_scales_are_refused_with_their_neighbours() -> None:
    with pytest.raises(UsageError, match=r"unknown experiment 'eats'.*eat"):
        configure(["experiment=eats"])
    with pytest.raises(UsageError, match=r"nano and tiny, not at 'small'"):
        configure(["experiment=eat", "scale=small"])


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("scale", recipe.SMALL)
def test_every_recipe_is_told_at_small_scales(name: str, scale: str) -> None:
    experiment = experiment_of(configure([f"experiment={name}", f"scale={scale}"]))
    settings = experiment.objective_settings()
    with torch.device("meta"):
        objective = experiment.build_objective(6 if settings.frozen() else 0)
    assert objective.encoder.width == experiment.scale.width


class Killed(Exception):
    """In place of a signal: what was not saved is lost."""


@pytest.mark.parametrize("name", EVERY)
def test_every_system_goes_on_bit_for_bit_and_is_evaluated(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Teachers, regularisers, noise and dropout included: killed after step 5, saved after step 3."""
    words = (f"experiment={name}", "scale=nano", *tiny_runs.TINY, "scale.width=32")
    words = (*words, "source=noise", "source.seconds=2.5")
    whole = tiny_runs.run(tmp_path / "whole", *words)
    step = pretraining.gather_gradients
    taken = []

    def killing(*given: object) -> object:
        taken.append(None)
        if len(taken) == 6:
            raise Killed
        return step(*given)  # type: ignore[arg-type]

    saved = checkpoint.save_state

    def saving(run: Path, state: dict[str, object]) -> None:
        if state["step"] <= 3:  # type: ignore[operator]
            saved(run, state)

    monkeypatch.setattr(pretraining, "gather_gradients", killing)
    monkeypatch.setattr(checkpoint, "save_state", saving)
    with pytest.raises(Killed):
        tiny_runs.run(tmp_path / "killed", *words, checkpoint_seconds=0.0)
    assert len(taken) == 6
    monkeypatch.undo()
    state = checkpoint.load_state(tmp_path / "killed" / "runs" / whole.name)
    assert state is not None
    assert state["step"] == 3
    again = tiny_runs.run(tmp_path / "killed", *words)
    first, second = (safetensors.torch.load_file(run / checkpoint.WEIGHTS) for run in (whole, again))
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
    done = evaluate(again, [create("toy_pitch")], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
    assert 0.0 < done.rows[0].score < 1.0
