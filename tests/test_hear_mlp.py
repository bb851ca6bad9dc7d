"""HEAR's predictor against plain torch: layers, first weights, steps, the grid, when training ends.

.venv/bin/python -m pytest tests/test_hear_mlp.py
"""

from __future__ import annotations

import random

import plain_mlp
import pytest
import torch
import torch.nn.functional as F
from sklearn.model_selection import ParameterGrid
from torch import Tensor, nn

from generators.drawer import BadData
from suite import probes
from suite.metrics import METRICS
from suite.probes import networks, side_by_side
from suite.probes.base import Examples
from suite.probes.hear_mlp import drawn_points
from suite.probes.networks import Network, Point
from suite.probes.side_by_side import Batch, Candidate, Watch, batches, in_the_running, keep

EXACT = torch.float32


def examples(n: int, *, D: int = 20, classes: int = 5, seed: int = 0, offset: float = 0.0) -> Examples:
    """Overlapping classes; every feature lies around ``offset``."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, D, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(n) % classes
    noise = 1.5 * torch.randn(n, D, generator=generator)
    return Examples(centres[targets] + noise + offset, targets, classes)


# ---------------------------------------------------------------------------------------------------
# The grid


def test_the_eight_points_are_those_that_hear_draws() -> None:
    assert drawn_points() == [
        Point(1, "xavier_normal", 1e-4),
        Point(2, "xavier_uniform", 1e-3),
        Point(1, "xavier_normal", 1e-3),
        Point(1, "xavier_normal", 3.2e-4),
        Point(2, "xavier_normal", 3.2e-4),
        Point(2, "xavier_uniform", 3.2e-4),
        Point(2, "xavier_normal", 3.2e-3),
        Point(2, "xavier_uniform", 3.2e-3),
    ]


def test_the_points_are_drawn_as_scikit_learn_and_python_draw_them() -> None:
    values = {
        "hidden_layers": [1, 2],
        "hidden_dim": [1024],
        "dropout": [0.1],
        "lr": [3.2e-3, 1e-3, 3.2e-4, 1e-4],
        "patience": [20],
        "initialization": ["xavier_uniform", "xavier_normal"],
    }
    grid = list(ParameterGrid(values))
    random.Random(42).shuffle(grid)
    drawn = [Point(point["hidden_layers"], point["initialization"], point["lr"]) for point in grid[:8]]
    assert drawn_points() == drawn


# ---------------------------------------------------------------------------------------------------
# The network and its steps


class Given(nn.Module):
    """Dropout that takes the units it is told to."""

    kept: Tensor

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden * self.kept / 0.9 if self.training else hidden


def in_step(
    layers: int, *, many: bool, steps: int, exact: bool
) -> tuple[Network, nn.Sequential, Tensor]:
    """Ours and the plain network after the same steps from the same weights; and clips to ask about.

    Exactly means in float64: a bias before a normalisation has the gradient 0, which float32 rounds to
    something that Adam scales up to a step. Else our products are bfloat16.
    """
    offset = 3.0 if exact else 50.0  # ours is trained on centred inputs: in bfloat16, 50.2 is 50.25
    part = examples(96, offset=offset)
    kind = torch.float64 if exact else torch.float32
    products = torch.float64 if exact else torch.bfloat16
    features, asked = part.features.to(kind), examples(40, seed=1, offset=offset).features.to(kind)
    targets = F.one_hot(part.targets, 5).to(kind) if many else part.targets
    point, centre = Point(layers, "xavier_uniform", 1e-3), features.mean(dim=0)
    ours = Candidate.fresh(point, centre, 5, seed=3)
    ours.network.to(kind)
    dropouts = [Given() for _ in range(layers)]
    plain = plain_mlp.network(point, 20, 5, [*dropouts]).to(kind)
    plain_mlp.with_the_weights_of(ours.network, plain)
    optimiser = torch.optim.Adam(plain.parameters(), lr=point.lr)
    loss = F.binary_cross_entropy_with_logits if many else F.cross_entropy
    generator = torch.Generator().manual_seed(5)
    plain.train()
    for step in range(steps):
        rows = torch.arange(96).roll(10 * step)[:64]
        kept = [keep(64, generator, products) for _ in range(layers)]
        for module, mask in zip(dropouts, kept, strict=True):
            module.kept = mask
        optimiser.zero_grad()
        loss(plain(features[rows]), targets[rows]).backward()
        optimiser.step()
        ours.step(Batch((features[rows] - centre).to(products), targets[rows]), kept)
    plain.eval()
    return ours.network, plain, asked


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_steps_are_those_of_plain_torch(layers: int, many: bool) -> None:
    ours, plain, features = in_step(layers, many=many, steps=4, exact=True)
    theirs = [module for module in plain if isinstance(module, nn.BatchNorm1d)]
    for layer, norm in zip(ours.hidden, theirs, strict=True):
        torch.testing.assert_close(layer.norm.running_mean, norm.running_mean, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(layer.norm.running_var, norm.running_var, rtol=1e-6, atol=1e-7)
    with torch.no_grad():
        torch.testing.assert_close(ours(features), plain(features), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2])
def test_bfloat16_products_go_where_float32_goes(layers: int) -> None:
    start, _, features = in_step(layers, many=False, steps=0, exact=False)
    ours, plain, _ = in_step(layers, many=False, steps=8, exact=False)
    with torch.no_grad():
        before, wanted, got = (model(features) for model in (start, plain, ours))
    moved, also_moved = (wanted - before).flatten(), (got - before).flatten()
    assert F.cosine_similarity(moved, also_moved, dim=0) > 0.99
    assert 0.95 < float(also_moved.norm() / moved.norm()) < 1.05


@pytest.mark.parametrize("initialization", ["xavier_uniform", "xavier_normal"])
def test_the_first_weights_are_drawn_as_said(initialization: str) -> None:
    network = Network(Point(2, initialization, 1e-3), torch.zeros(300), 50, seed=0)
    sizes, gains = [(300, 1024), (1024, 1024), (1024, 50)], [1.0, 2.0**0.5, 2.0**0.5]
    layers = [*(layer.linear for layer in network.hidden), network.projection]
    for layer, (size, width), gain in zip(layers, sizes, gains, strict=True):
        deviation = gain * (2.0 / (size + width)) ** 0.5
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.02)
        bound = 3.0**0.5 * deviation
        assert (layer.weight.abs().max() <= bound) == (initialization == "xavier_uniform")
        assert layer.bias.abs().max() <= size**-0.5
        assert layer.bias.std().item() == pytest.approx(size**-0.5 / 3.0**0.5, rel=0.2)
    for layer in network.hidden:
        assert (layer.norm.weight == 1.0).all()
        assert (layer.norm.bias == 0.0).all()


def test_first_weights_leave_the_generator_of_all_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    Network(Point(1, "xavier_normal", 1e-3), torch.zeros(4), 2, seed=0)
    assert torch.equal(torch.rand(3), expected)


# ---------------------------------------------------------------------------------------------------
# Draws


def test_dropout_takes_a_tenth_and_never_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = keep(701, generator, torch.bfloat16), keep(701, generator, torch.bfloat16)
    assert first.shape == (701, 1024)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    n = first.numel()
    assert abs(float(first.float().mean()) - 0.9) < 5 * (0.09 / n) ** 0.5
    both = float(((first == 0.0) & (second == 0.0)).float().mean())
    assert both == pytest.approx(0.01, abs=5 * (0.0099 / n) ** 0.5)
    columns = (first == 0.0).float().mean(dim=0)  # no unit, and no place in a word, is favoured
    assert columns.view(-1, 4).mean(dim=0).tolist() == pytest.approx([0.1] * 4, abs=0.005)


def test_every_clip_is_seen_once_an_epoch_and_in_another_order() -> None:
    generator = torch.Generator().manual_seed(0)
    epochs = [list(batches(2500, generator)) for _ in range(2)]
    for epoch in epochs:
        assert [len(rows) for rows in epoch] == [1024, 1024, 452]
        assert torch.equal(torch.cat(epoch).sort().values, torch.arange(2500))
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1]))
    assert [len(rows) for rows in batches(1025, generator)] == [1024]  # one alone has no variance


# ---------------------------------------------------------------------------------------------------
# When training ends


def test_training_ends_after_twenty_looks_without_a_better_score() -> None:
    watch = Watch()
    scores = [0.3, 0.5, 0.4, 0.5, float("nan"), *[0.2] * 16]  # an equal score is not a better one
    for look, score in enumerate(scores, start=1):
        assert watch.better(score, 3 * look) == (look <= 2)
        assert not watch.over
    assert not watch.better(0.5, 66)
    assert (watch.score, watch.epoch, watch.waited, watch.over) == (0.5, 6, 20, True)


def candidates(*watches: Watch) -> list[Candidate]:
    point = Point(1, "xavier_normal", 1e-3)
    fresh = [Candidate.fresh(point, torch.zeros(2), 2, seed=0) for _ in watches]
    for candidate, watch in zip(fresh, watches, strict=True):
        candidate.watch = watch
    return fresh


def test_behind_a_perfect_score_nobody_trains_on() -> None:
    first, stopped, perfect, last = candidates(
        Watch(0.5, 3, 1), Watch(0.6, 3, 20), Watch(1.0, 3, 0), Watch(0.7, 3, 0)
    )
    assert in_the_running([first, stopped, perfect, last]) == [first]
    assert in_the_running([first, stopped, last]) == [first, last]


POINTS = [
    Point(1, "xavier_normal", 1e-3),
    Point(2, "xavier_uniform", 1e-3),
    Point(1, "xavier_uniform", 1e-2),
]


def best_of(points: list[Point], favourite: Point, monkeypatch: pytest.MonkeyPatch) -> Candidate:
    """Train a few epochs where only the favourite scores, and best of all at epoch 6."""
    monkeypatch.setattr(side_by_side, "EPOCHS", 9)
    monkeypatch.setattr(networks, "WIDTH", 32)
    looks: dict[Network, int] = {}
    part = examples(80)

    def check(network: Network) -> float:
        looks[network] = looks.get(network, 0) + 1
        mine = len(network.hidden) == favourite.hidden_layers
        return (0.1, 0.9, 0.4)[looks[network] - 1] if mine else 0.0

    return side_by_side.train(points, part.features, part.targets, 5, check, products=EXACT)


def test_the_chosen_network_is_as_at_its_best(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = best_of(POINTS[:2], POINTS[1], monkeypatch)
    assert (chosen.point, chosen.watch.epoch, chosen.watch.score) == (POINTS[1], 6, 0.9)
    monkeypatch.setattr(side_by_side, "EPOCHS", 6)
    part = examples(80)
    shorter = side_by_side.train(
        POINTS[:2], part.features, part.targets, 5, lambda _: 0.5, products=EXACT
    )
    assert shorter.point == POINTS[0]  # the first of equals
    assert shorter.watch.epoch == 3  # and its earliest epoch


def test_a_network_does_not_depend_on_those_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    together = best_of(POINTS[:2], POINTS[0], monkeypatch)
    alone = best_of(POINTS[:1], POINTS[0], monkeypatch)
    for key, value in together.network.state_dict().items():
        assert torch.equal(value, alone.network.state_dict()[key]), key


def test_where_features_lie_is_nothing_to_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "EPOCHS", 6)
    monkeypatch.setattr(networks, "WIDTH", 32)
    learnt = []
    for offset in (0.0, 256.0):
        part = examples(80, offset=offset)
        features = (64.0 * (part.features - offset)).round() / 64.0 + offset  # exact with both
        chosen = side_by_side.train(
            POINTS[:1], features, part.targets, 5, lambda _: 0.5, products=torch.bfloat16
        )
        learnt.append(chosen.network.hidden[0].linear.weight)
    assert (learnt[0] - learnt[1]).abs().mean() < 1e-4  # of six steps of 1e-3


# ---------------------------------------------------------------------------------------------------
# The probe


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden layers of 64 and 60 epochs: these tests are about what is done with the networks."""
    monkeypatch.setattr(networks, "WIDTH", 64)
    monkeypatch.setattr(side_by_side, "EPOCHS", 60)


@pytest.mark.usefixtures("narrow")
def test_the_selection_says_what_was_chosen_and_held_out_answers_scored_it() -> None:
    probe, valid = probes.create("hear-mlp@1"), examples(60, seed=2)
    probe.fit(examples(150, seed=1), valid)
    said = probe.selection
    assert Point(said["hidden_layers"], said["initialization"], said["lr"]) in drawn_points()
    assert said["epoch"] % 3 == 0
    assert said["products"] in ("bfloat16", "float32")
    held_out = probe.held_out()
    assert said["valid_accuracy"] == METRICS["accuracy"](valid.targets.numpy(), held_out.numpy())
    assert torch.equal(held_out, probe.predict(valid.features))
    torch.testing.assert_close(held_out.exp().sum(dim=1), torch.ones(60))


@pytest.mark.usefixtures("narrow")
def test_the_number_of_threads_changes_nothing() -> None:
    before, answers = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            probe = probes.create("hear-mlp@1")
            probe.fit(examples(150, seed=1), examples(60, seed=2))
            answers.append(probe.predict(examples(500, seed=3).features))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*answers)


@pytest.mark.usefixtures("narrow")
def test_an_encoder_that_answers_all_clips_alike_scores_chance() -> None:
    alike = [Examples(torch.full((n, 4), 2.0), torch.arange(n) % 5, 5) for n in (50, 20)]
    probe = probes.create("hear-mlp@1")
    probe.fit(*alike)
    assert probe.selection["valid_accuracy"] == 0.2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused(value: float) -> None:
    train, valid = examples(30), examples(10)
    valid.features[3, 2] = value
    with pytest.raises(BadData, match=r"valid features.*NaN or infinity"):
        probes.create("hear-mlp@1").fit(train, valid)


def test_networks_that_answer_no_numbers_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "EPOCHS", 3)
    part = examples(30)
    with pytest.raises(BadData, match="became NaN"):
        side_by_side.train(
            POINTS[:1], part.features, part.targets, 5, lambda _: float("nan"), products=EXACT
        )
