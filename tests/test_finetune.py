"""Fine-tuning: what a batch is made of, which weights move how fast, and the number papers choose by.

.venv/bin/python -m pytest tests/test_finetune.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
import torch
from beep_task import Beeps
from tone_tasks import Tones

from generators.drawer import UsageError
from suite import probes
from suite.clip_probe import ORACLE
from suite.encoder import Architecture, Encoder
from suite.evaluate import evaluate, summary
from suite.frontend import FrontEnd
from suite.machine import Machine
from suite.probes.augmentation import augmented, cut_and_mixed, mixed, striped, weight_of
from suite.probes.base import Examples, Sounds
from suite.probes.finetuning import (
    Crops,
    Network,
    answers,
    groups_of,
    lines_kept,
    loss_of,
    past,
    share_at,
    train,
)
from suite.probes.recipes import AUDIO_MAE, AUDIOPG, EAT, OURS
from suite.rows import predictions_path, read_predictions
from suite.sounds import sounds_of
from suite.views import check_reads

FRONTEND = FrontEnd(bands=16, frames=16, statistics="fixed")
MACHINE = Machine(torch.device("cpu"), "float32")
PUBLISHED = {"finetune-audiopg@1": AUDIOPG, "finetune-audio-mae@1": AUDIO_MAE, "finetune-eat@1": EAT}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def encoder(**fields: object) -> Encoder:
    torch.manual_seed(0)
    architecture = Architecture(**fields)  # type: ignore[arg-type]
    return Encoder(patch=(4, 8), width=16, depth=3, heads=2, architecture=architecture)


def sounds(lengths: list[int], **fields: object) -> Sounds:
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((16, length)).astype(np.float32) for length in lengths]
    return Sounds(images, encoder(**fields), FRONTEND, MACHINE)


# ---------------------------------------------------------------------------------------------------
# Augmentation


def test_a_mixed_clip_is_the_blend_of_two_and_so_is_its_target() -> None:
    images, targets = torch.randn(6, 4, 5), torch.eye(6)
    blend, wanted = mixed(images, targets, 0.4, generator())
    for row in range(6):
        torch.testing.assert_close(blend[row], torch.einsum("n,nft->ft", wanted[row], images))
        assert wanted[row].sum() == pytest.approx(1.0)


def test_a_pasted_rectangle_counts_by_its_area() -> None:
    images, targets = torch.arange(6.0)[:, None, None].expand(6, 8, 10).clone(), torch.eye(6)
    pasted, wanted = cut_and_mixed(images, targets, 1.0, generator(3))
    assert not torch.equal(pasted, images)
    for row in range(6):
        shares = torch.stack([(pasted[row] == value).float().mean() for value in range(6)])
        torch.testing.assert_close(shares, wanted[row])


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0])
def test_weights_are_of_a_beta_distribution(alpha: float) -> None:
    drawn = np.array([weight_of(alpha, generator(seed)) for seed in range(4000)])
    assert drawn.mean() == pytest.approx(0.5, abs=0.03)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


@pytest.mark.parametrize("dim", [1, 2])
def test_a_stripe_is_whole_and_no_wider_than_allowed(dim: int) -> None:
    images = torch.ones(50, 12, 20)
    hidden = (striped(images, 0.5, dim, generator()) == 0.0).float()
    lines = hidden.amax(dim=3 - dim)  # (50, size)
    assert torch.equal(hidden, (lines[:, :, None] if dim == 1 else lines[:, None]).expand_as(hidden))
    widths = lines.sum(dim=1)
    assert widths.max() == images.shape[dim] // 2
    assert widths.min() == 0
    edges = torch.nn.functional.pad(lines, (1, 1)).diff(dim=1).abs().sum(dim=1)
    assert edges.max() == 2  # one piece


def test_a_recipe_without_augmentation_changes_nothing() -> None:
    bare = replace(OURS, mixup=0.0)
    images, targets = torch.randn(4, 6, 8), torch.eye(4)
    assert all(map(torch.equal, augmented(images, targets, bare, generator()), (images, targets)))
    turned, _ = augmented(images, targets, replace(bare, roll=True), generator())
    assert torch.equal(turned.sort(dim=2).values, images.sort(dim=2).values)
    assert not torch.equal(turned, images)


# ---------------------------------------------------------------------------------------------------
# Training


def test_deeper_layers_learn_faster_and_vectors_do_not_decay() -> None:
    network = Network(encoder(), replace(OURS, layer_decay=0.5), 3, many=False)
    shares = {
        id(parameter): (group["share"], group["weight_decay"])
        for group in groups_of(network, replace(OURS, layer_decay=0.5))
        for parameter in group["params"]
    }
    assert len(shares) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        share, decay = shares[id(parameter)]
        depth = int(name.split(".")[2]) + 1 if name.startswith("encoder.blocks") else 0
        depth = 4 if name.startswith(("head", "norm", "encoder.norm.")) else depth
        assert share == 0.5 ** (4 - depth), name
        assert (decay > 0) == (parameter.ndim >= 2), name


@pytest.mark.parametrize(("grid", "lines"), [((13, 5), (12, 4)), ((1, 3), (1, 3)), ((64, 8), (58, 7))])
def test_whole_lines_are_hidden_and_one_stays(grid: tuple[int, int], lines: tuple[int, int]) -> None:
    keep = lines_kept(40, grid, 0.1, generator())
    assert keep.shape == (40, lines[0] * lines[1])
    for row in keep:
        assert len(set(row.tolist())) == lines[0] * lines[1]
        assert (len((row // grid[1]).unique()), len((row % grid[1]).unique())) == lines
    assert lines_kept(1, grid, 0.99, generator()).shape[1] >= 1


def test_the_rate_rises_and_falls_as_published() -> None:
    shares = [share_at(step, 100, EAT) for step in range(100)]
    assert shares[9] == 1.0
    assert shares[0] == 0.1
    assert shares[-1] == pytest.approx(0.02, abs=1e-3)
    assert share_at(0, 100, AUDIOPG) == 1.0


def test_a_dropped_block_leaves_the_row_and_the_mean_as_they_were() -> None:
    before, seen = torch.zeros(4000, 2, 3), []

    def block(rows: torch.Tensor) -> torch.Tensor:
        seen.append(len(rows))
        return rows + 1.0

    found = past(block, before, 0.25, generator())
    assert found.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert found.mean() == pytest.approx(1.0, abs=0.04)
    assert torch.equal(found.amax(dim=(1, 2)), found.amin(dim=(1, 2)))
    assert seen == [int((found[:, 0, 0] > 0).sum())]  # the others are not computed
    assert torch.equal(past(block, before, 0.25, None), before + 1.0)


def test_rows_that_pass_a_block_by_change_no_gradient() -> None:
    """Against computing every row and throwing some away, as drop path is mostly written."""
    block = torch.nn.Linear(3, 3)
    tokens = torch.randn(12, 2, 3, generator=generator(1), requires_grad=True)
    stays = torch.rand(12, generator=generator()) >= 0.4
    assert 0 < stays.sum() < 12
    plain = tokens + (stays / 0.6)[:, None, None] * (block(tokens) - tokens)
    found = past(block, tokens, 0.4, generator())
    torch.testing.assert_close(found, plain)
    inputs = (tokens, *block.parameters())
    expected = torch.autograd.grad(plain.square().sum(), inputs)
    torch.testing.assert_close(torch.autograd.grad(found.square().sum(), inputs), expected)
    assert torch.equal(past(block, tokens, 1.0 - 1e-9, generator()), tokens)  # no row is left


def test_the_loss_is_cross_entropy_with_smoothed_labels() -> None:
    logits, labels = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    wanted = torch.nn.functional.one_hot(labels, 3).float()
    torch.testing.assert_close(loss_of(logits, wanted, OURS, many=False), expected)


def test_pieces_cover_a_clip_and_the_last_one_ends_with_it() -> None:
    heard = sounds([10, 16, 40])
    places = Crops(heard).in_a_row()
    assert places == [(0, 0), (1, 0), (2, 0), (2, 16), (2, 24)]
    pieces = Crops(heard).at(places)
    assert pieces.shape == (5, 16, 16)
    assert torch.equal(pieces[4], torch.from_numpy(heard.images[2][:, 24:]))
    assert (pieces[0, :, 10:] == FRONTEND.pad_level).all()
    drawn = Crops(heard).drawn(torch.tensor([2, 2, 2]), generator())
    assert not torch.equal(drawn[0], drawn[1])


def test_watched_clips_are_not_answered_again() -> None:
    heard = sounds([16] * 6)
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    probe = probes.create("finetune-audiopg@1")
    probe.recipe = replace(AUDIOPG, epochs=2)  # type: ignore[misc]
    probe.watched = heard
    probe.fit(Examples(heard, labels, 2), Examples(heard, labels, 2))
    assert probe.predict(heard) is probe.by_epoch[1]
    again = probe.predict(heard[torch.arange(6)])
    assert again is not probe.by_epoch[1]
    assert torch.equal(again, probe.by_epoch[1])


def test_a_machine_s_precision_is_that_of_the_training() -> None:
    """Weights stay float32, and bfloat16 answers nearly the same."""
    heard = sounds([16, 40, 16, 16])
    examples = Examples(heard, torch.tensor([0, 1, 0, 1]), 2)
    half = replace(heard, machine=Machine(torch.device("cpu"), "bfloat16"))
    network = train(replace(examples, features=half), OURS, 1e-3, 3, "finetune@1")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    answer = answers(network, half)
    expected = answers(train(examples, OURS, 1e-3, 3, "finetune@1"), heard)
    assert not torch.equal(answer, expected)
    torch.testing.assert_close(answer, expected, rtol=0.05, atol=0.02)


def test_the_encoder_of_the_run_stays_as_it_was() -> None:
    heard = sounds([16] * 6)
    before = {name: value.clone() for name, value in heard.encoder.state_dict().items()}
    examples = Examples(heard, torch.tensor([0, 1, 0, 1, 0, 1]), 2)
    network = train(examples, replace(OURS, hide=0.0), 1e-3, 2, "finetune@1")
    assert all(torch.equal(value, before[name]) for name, value in heard.encoder.state_dict().items())
    moved = network.encoder.state_dict()
    assert not torch.equal(moved["blocks.2.mlp.fc1.weight"], before["blocks.2.mlp.fc1.weight"])
    assert answers(network, heard).exp().sum(dim=1).tolist() == pytest.approx([1.0] * 6)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_has_one_rate_and_so_no_choice(name: str) -> None:
    probe = probes.create(name)
    assert probe.recipe is PUBLISHED[name]
    assert len(probe.recipe.rates) == 1


def test_a_class_token_that_is_not_there_is_said() -> None:
    examples = Examples(sounds([16] * 4, class_token=False), torch.tensor([0, 1, 0, 1]), 2)
    with pytest.raises(UsageError, match=r"Type probes=\[finetune@1\]"):
        probes.create("finetune-eat@1").fit(examples, examples)


# ---------------------------------------------------------------------------------------------------
# As a probe of a run


def test_the_oracle_stands_beside_the_score_and_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = type(probes.create("finetune@1"))
    short = replace(OURS, epochs=3, trial_epochs=1, rates=(1e-3, 3e-3))
    monkeypatch.setattr(probe, "recipe", short)
    machine = tiny_runs.machine()
    run = tiny_runs.run(tmp_path)
    done = evaluate(run, [Tones()], ["finetune@1", "knn@1"], machine, tmp_path / "cache")
    row = next(row for row in done.rows if row.probe == "finetune@1")
    stored = read_predictions(predictions_path(run / "predictions", "tones", "finetune@1", 64))
    assert row.score == (stored.scores.argmax(1) == stored.target).mean()
    assert row.selection["learning_rate"] in short.rates
    assert row.selection[ORACLE] >= row.score
    assert f"oracle {100 * row.selection[ORACLE]:.1f} %" in summary(done.rows)
    assert summary(done.rows).count("oracle") == 1
    again = evaluate(run, [Tones()], ["finetune@1"], machine, tmp_path / "cache")
    assert (again.measured, again.already) == (0, 1)
    control = tiny_runs.run(tmp_path, "control=mel_statistics")
    left = evaluate(control, [Tones()], ["finetune@1", "knn@1"], machine, tmp_path / "cache")
    assert [row.probe for row in left.rows] == ["knn@1"]
    assert "finetune@1 would train the encoder" in capsys.readouterr().err


def test_sounds_are_the_log_mels_of_the_task_s_clips(tmp_path: Path) -> None:
    from suite.checkpoint import read_experiment
    from suite.experiment import experiment_from
    from suite.judged import load

    run = tiny_runs.run(tmp_path)
    trained = load(run, experiment_from(read_experiment(run)[0]), tiny_runs.machine(), None)
    task = Tones()
    found = sounds_of(task, trained, tiny_runs.machine(), tmp_path / "cache")
    samples, _ = task.waveform(5)
    expected = trained.frontend.log_mel(torch.from_numpy(samples)[None])[0]
    np.testing.assert_allclose(found.images[5], expected.numpy(), atol=0.02)
    assert found.frontend.mean != trained.frontend.mean  # of the task
    chosen = found[np.array([5, 0])]
    assert len(chosen) == 2
    assert np.array_equal(chosen.images[0], found.images[5])


def test_events_are_refused_before_anything_is_spent() -> None:
    with pytest.raises(UsageError, match=r"probes=\[linear@1\]"):
        check_reads([Beeps()], ["finetune@1"])
