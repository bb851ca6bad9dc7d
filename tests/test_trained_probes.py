"""Nets that are trained side by side are those trained alone, and say what their formulas say.

.venv/bin/python -m pytest tests/test_trained_probes.py
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators.drawer import BadData
from suite import probes
from suite.probes import attentive, layers, prototype, training
from suite.probes.base import Examples, Tokens
from suite.probes.token_batches import Batch, standard_of
from suite.probes.training import Method, Nets, Parameters, pieces, train_nets

WIDTH, CLASSES = 16, 3


def bags(n: int, *, seed: int = 0, many: bool = False) -> Examples[Tokens]:
    """Clips of 3 to 9 tokens of noise, in which one token shows the class."""
    generator = torch.Generator().manual_seed(seed)
    vectors, labels = [], torch.arange(n) % CLASSES
    for label in labels.tolist():
        tokens = torch.randn(
            3 + int(torch.randint(7, (1,), generator=generator)), WIDTH, generator=generator
        )
        tokens[0, label] += 8.0
        vectors.append(tokens.numpy())
    targets = F.one_hot(labels, CLASSES).float() if many else labels
    return Examples(Tokens(vectors), targets, CLASSES)


def drawn(start: Parameters, nets: int, seed: int = 0) -> Parameters:
    """Random parameters of several nets."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(nets, *value.shape, generator=generator) for name, value in start.items()}


def one_batch(n: int = 5) -> tuple[Examples[Tokens], Batch]:
    examples = bags(n)
    padded, there = examples.features.padded(torch.arange(n))
    return examples, Batch(padded, there)


# ---------------------------------------------------------------------------------------------------
# Formulas


def test_attention_pooling_is_cross_attention_written_out() -> None:
    """Against torch's multi-head attention, clip by clip: every token projected, none padded."""
    examples, batch = one_batch()
    normalised = Batch(F.layer_norm(batch.tokens, (WIDTH,)), batch.there)
    start = attentive.start(examples, torch.zeros(5, CLASSES))
    parameters = drawn(start, 2)
    measured = attentive.logits(parameters, normalised)
    assert measured.shape == (2, 5, CLASSES)
    heads = start["query"].shape[0]
    for net in range(2):
        one = {name: value[net] for name, value in parameters.items()}
        norm = nn.LayerNorm(WIDTH)
        attention = nn.MultiheadAttention(WIDTH, heads, bias=False, batch_first=True)
        with torch.no_grad():
            norm.weight.copy_(one["gain"])
            norm.bias.copy_(one["shift"])
            key, value = one["key"].flatten(0, 1), one["value"].flatten(0, 1)
            attention.in_proj_weight.copy_(torch.cat([torch.eye(WIDTH), key, value]))
            attention.out_proj.weight.copy_(torch.eye(WIDTH))
            for clip, vectors in enumerate(examples.features.vectors):
                tokens = norm(torch.from_numpy(vectors)[None])
                pooled, _ = attention(one["query"].flatten()[None, None], tokens, tokens)
                expected = F.linear(pooled[0, 0], one["weight"], one["bias"])
                torch.testing.assert_close(measured[net, clip], expected, rtol=1e-4, atol=1e-4)


def test_eight_heads_where_the_width_allows() -> None:
    assert [attentive.heads_of(width) for width in (768, 192, 20, 12, 7, 11)] == [8, 8, 5, 6, 7, 1]


def test_a_prototype_answers_with_its_nearest_token() -> None:
    examples, batch = one_batch()
    unit = Batch(F.normalize(batch.tokens, dim=2), batch.there)
    parameters = {
        "prototypes": torch.randn(2, CLASSES, 4, WIDTH),
        "weight": torch.randn(2, CLASSES, 4),
        "bias": torch.randn(2, CLASSES),
    }
    for value in parameters.values():
        value.requires_grad_(True)
    measured = prototype.logits(parameters, unit)
    rows = []
    for vectors in examples.features.vectors:
        cosines = F.cosine_similarity(
            torch.from_numpy(vectors), parameters["prototypes"][..., None, :], dim=-1
        )
        best = cosines.amax(dim=-1)  # (nets, classes, 4)
        rows.append((best * parameters["weight"]).sum(dim=2) + parameters["bias"])
    expected = torch.stack(rows, dim=1)
    torch.testing.assert_close(measured, expected, rtol=1e-4, atol=1e-4)
    found = torch.autograd.grad(measured.square().sum(), parameters.values())
    wanted = torch.autograd.grad(expected.square().sum(), parameters.values())
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_the_number_of_prototypes_falls_with_the_number_of_classes() -> None:
    counts = [prototype.prototypes_of(classes) for classes in (1, 10, 20, 35, 50, 200, 527)]
    assert counts == [10, 10, 10, 5, 4, 2, 2]


def test_layers_are_mixed_by_their_weights() -> None:
    features = torch.randn(5, 4, WIDTH)
    examples = Examples(features, torch.zeros(5, dtype=torch.int64), CLASSES)
    parameters = drawn(layers.start(examples, torch.zeros(5, CLASSES)), 2)
    measured = layers.logits(parameters, features)
    for net in range(2):
        weights = torch.softmax(parameters["layers"][net], dim=0)
        mixed = sum(weights[layer] * features[:, layer] for layer in range(4))
        expected = F.linear(mixed, parameters["weight"][net], parameters["bias"][net])  # type: ignore[arg-type]
        torch.testing.assert_close(measured[net], expected, rtol=1e-4, atol=1e-5)


def test_the_layer_that_shows_the_class_gets_the_weight() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(150, 4, 6, generator=generator)
    labels = torch.arange(150) % 3
    features[torch.arange(150), 2, labels] += 4.0
    probe = probes.create("layers@1")
    probe.fit(
        Examples(features[:100], labels[:100], 3),
        Examples(features[100:], labels[100:], 3),
    )
    weights = probe.selection["layer_weights"]
    assert int(np.argmax(weights)) == 2
    assert weights[2] > 0.5


def test_tokens_are_standardised_by_all_tokens_of_train() -> None:
    examples = bags(20)
    together = np.concatenate(list(examples.features.vectors)) * 3.0 + 100.0
    scaled = Tokens([vectors * 3.0 + 100.0 for vectors in examples.features.vectors])
    standard = standard_of(scaled)
    assert np.allclose(standard.mean, together.mean(axis=0), atol=1e-4)
    assert np.allclose(1.0 / standard.scale, together.std(axis=0), rtol=1e-4)
    batch = standard.batch(scaled, torch.tensor([3, 7]))
    own = (scaled.vectors[7] - together.mean(axis=0)) / together.std(axis=0)
    assert np.allclose(batch.tokens[1, : len(own)], own, atol=1e-3)


# ---------------------------------------------------------------------------------------------------
# Training


def method_of(rates: tuple[float, ...]) -> Method[Tokens]:
    return Method("attentive@1", rates, plainly, attentive.start, attentive.logits)


def plainly(tokens: Tokens, clips: Tensor) -> Batch:
    return Batch(*tokens.padded(clips))


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "EPOCHS", 4)


@pytest.mark.parametrize("many", [False, True])
def test_nets_side_by_side_are_those_trained_alone(many: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    examples, rates = bags(30, many=many), (1e-3, 1e-2)
    together = train_nets(method_of(rates), examples, rates)
    for net, rate in enumerate(rates):
        alone = train_nets(method_of(rates), examples, (rate,))
        for name, value in alone.parameters.items():
            torch.testing.assert_close(together.parameters[name][net], value[0], rtol=1e-3, atol=1e-5)


def test_pieces_of_a_batch_add_up_to_its_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    examples = bags(30)

    def nets() -> Nets[Tokens]:
        return train_nets(method_of((1e-3,)), examples, (1e-3,))

    whole = nets()
    monkeypatch.setattr(training, "PADDED", 20)  # two or three clips at once
    monkeypatch.setattr(training, "HELD", 0)  # and every batch read again
    for name, value in nets().parameters.items():
        torch.testing.assert_close(value, whole.parameters[name], rtol=1e-3, atol=1e-5)


def test_a_piece_is_bounded_and_all_clips_are_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "PADDED", 20)
    sizes = np.array([3, 30, 9, 10, 1, 5, 21, 2])
    parts = list(pieces(torch.arange(8), sizes))
    assert sorted(torch.cat(parts).tolist()) == list(range(8))
    for part in parts:
        assert len(part) == 1 or len(part) * sizes[part.numpy()].max() <= 20


def test_the_rate_is_chosen_on_valid_and_train_and_valid_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "EPOCHS", 20)
    train, valid = bags(60), bags(30, seed=1)
    probe = probes.create("attentive@1")
    probe.fit(train, valid)
    accuracy = (probe.held_out().argmax(dim=1) == valid.targets).float().mean()
    assert probe.selection["valid_accuracy"] == pytest.approx(float(accuracy))
    assert probe.selection["learning_rate"] in attentive.RATES
    assert not torch.equal(probe.predict(valid.features), probe.held_out())


@pytest.mark.parametrize("name", ["attentive@1", "prototype@1"])
def test_tokens_that_are_no_numbers_are_refused(name: str) -> None:
    train, valid = bags(12), bags(6)
    broken = [vectors.copy() for vectors in valid.features.vectors]
    broken[3][0, 0] = np.nan
    with pytest.raises(BadData, match=f"{name} cannot use the valid features"):
        probes.create(name).fit(train, Examples(Tokens(broken), valid.targets, CLASSES))
    nobody = torch.arange(0)
    with pytest.raises(BadData, match="train features: they are empty"):
        probes.create(name).fit(Examples(train.features[nobody], train.targets[:0], CLASSES), valid)
