"""Laws of every probe in the registry; a new file in suite/probes/ is under test at once."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.drawer import UsageError
from suite import probes
from suite.encoder import Encoder
from suite.frontend import FrontEnd
from suite.machine import Machine
from suite.metrics import METRICS
from suite.probes import networks, side_by_side
from suite.probes.base import Examples, Sounds, Tokens

every = pytest.mark.parametrize("name", probes.names())
for_many_labels = pytest.mark.parametrize(
    "name", [name for name in probes.names() if not probes.create(name).metric]
)
WIDTH, CLASSES = 16, 4
MOST_TOKENS, LAYERS = 12, 3


@pytest.fixture(autouse=True)
def narrow_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden layers of 64 and 90 epochs: those of 1024 and 500 obey the same laws, in minutes."""
    monkeypatch.setattr(networks, "WIDTH", 64)
    monkeypatch.setattr(side_by_side, "EPOCHS", 90)


@pytest.fixture
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """For laws that hold whatever was learnt: probes that are trained take a 20th of the time."""
    monkeypatch.setattr("suite.probes.training.EPOCHS", 3)
    for name in probes.names():
        probe = type(probes.create(name))
        if probe.reads == "sounds":
            rates = probe.recipe.rates if len(probe.recipe.rates) > 1 else (5e-3,)
            short = replace(probe.recipe, epochs=3, trial_epochs=1, rates=rates)
            monkeypatch.setattr(probe, "recipe", short)


few = pytest.mark.usefixtures("few_epochs")


@pytest.fixture
def quick_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Published fine-tuning has rates for large encoders that have learnt; ours here have not."""
    for name in probes.names():
        probe = type(probes.create(name))
        if probe.reads == "sounds":
            quick = replace(probe.recipe, rates=(5e-3,), epochs=min(40, probe.recipe.epochs))
            monkeypatch.setattr(probe, "recipe", quick)


quick = pytest.mark.usefixtures("quick_rates")


def blobs(name: str, n: int, *, seed: int, spread: float = 0.1, many: bool = False) -> Examples:
    """``n`` clips that show their classes to a probe by what it reads.

    Clips lie around one centre per class, or around the sum of the centres of their labels. Of layers
    one is like that, and the others are noise. Of 8 to 12 tokens one lies around the centre of each
    label, and the others are noise. A sound has a louder band for each label, all the time.
    """
    reads = type(probes.create(name)).reads
    centres = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % CLASSES
    shown = torch.nn.functional.one_hot(labels, CLASSES).float()
    if many:
        shown = labels = (torch.rand(n, CLASSES, generator=generator) < 0.4).float()
    if reads == "sounds":
        return Examples(hummed(shown, spread, generator), labels, CLASSES)
    if reads == "tokens":
        vectors = [one_token_each(centres[row.bool()], spread, generator) for row in shown]
        return Examples(Tokens(vectors), labels, CLASSES)
    clips = shown @ centres + spread * torch.randn(n, WIDTH, generator=generator)
    if reads == "layers":
        layers = torch.randn(n, LAYERS, WIDTH, generator=generator)
        layers[:, 1] = clips
        return Examples(layers, labels, CLASSES)
    return Examples(clips, labels, CLASSES)


def one_token_each(centres: Tensor, spread: float, generator: torch.Generator) -> np.ndarray:
    """Tokens ``(N, WIDTH)``: noise, and one near each of the centres, somewhere."""
    count = int(torch.randint(MOST_TOKENS - 4, MOST_TOKENS + 1, (1,), generator=generator))
    tokens = torch.randn(count, WIDTH, generator=generator)
    places = torch.randperm(count, generator=generator)[: len(centres)]
    noise = torch.randn(len(centres), WIDTH, generator=generator)
    loud = 6.0 * torch.nn.functional.normalize(centres, dim=1)  # noise has a length of 4
    tokens[places] = loud + spread * noise
    return tokens.numpy()


def hummed(shown: Tensor, spread: float, generator: torch.Generator) -> Sounds:
    """Log-mels ``(16, 16 to 24)`` and an encoder of random weights that hears 16 frames at once."""
    bands = shown.repeat_interleave(WIDTH // CLASSES, dim=1)  # (n, 16)
    images = []
    for band in bands:
        frames = int(torch.randint(WIDTH, 25, (1,), generator=generator))
        noise = spread * torch.randn(WIDTH, frames, generator=generator)
        images.append((2.0 * band[:, None] - 0.5 + noise).numpy())
    torch.manual_seed(0)
    encoder = Encoder(patch=(2, 8), width=WIDTH, depth=1, heads=2)
    frontend = FrontEnd(bands=WIDTH, frames=WIDTH, statistics="fixed")
    return Sounds(images, encoder, frontend, Machine(torch.device("cpu"), "float32"))


def everything(features: Tensor | Tokens | Sounds) -> Tensor:
    """All numbers of the features, in a copy."""
    if isinstance(features, Sounds):
        weights = [value.flatten() for value in features.encoder.state_dict().values()]
        return torch.cat([*(torch.from_numpy(image).flatten() for image in features.images), *weights])
    if isinstance(features, Tokens):
        return torch.cat([torch.from_numpy(vectors).flatten() for vectors in features.vectors])
    return features.clone()


def all_but_first(features: Tensor | Tokens | Sounds, value: float) -> Tensor | Tokens | Sounds:
    """The features, every number of every clip but the first replaced."""
    if isinstance(features, Sounds):
        first, *others = features.images
        return replace(features, images=[first, *(np.full_like(image, value) for image in others)])
    if isinstance(features, Tokens):
        first, *others = features.vectors
        return Tokens([first, *(np.full_like(vectors, value) for vectors in others)])
    strange = features.clone()
    strange[1:] = value
    return strange


def widened(features: Tensor | Tokens | Sounds, value: float) -> Tensor | Tokens | Sounds:
    """The features with two dimensions more that are the same everywhere; sounds have none to add."""
    if isinstance(features, Sounds):
        return features
    if isinstance(features, Tokens):
        wide = [np.pad(v, ((0, 0), (0, 2)), constant_values=value) for v in features.vectors]
        return Tokens(wide)
    return torch.cat([features, torch.full((*features.shape[:-1], 2), value)], dim=-1)


def shuffled(examples: Examples, seed: int) -> Examples:
    order = torch.randperm(len(examples.targets), generator=torch.Generator().manual_seed(seed))
    return Examples(examples.features, examples.targets[order], examples.classes)


def answer(name: str, train: Examples, valid: Examples, features: Tensor | Tokens | Sounds) -> Tensor:
    probe = probes.create(name)
    probe.fit(train, valid)
    return probe.predict(features)


def score(metric: str, test: Examples, scores: Tensor) -> float:
    return METRICS[metric](test.targets.numpy(), scores.numpy())


@every
def test_a_name_carries_its_version(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+@\d+", name)
    assert probes.create(name).name == name


@quick
@every
def test_separable_blobs_reach_one(name: str) -> None:
    test = blobs(name, 80, seed=3)
    # Of 120 clips hear-mlp@1 at full width misses one in 80: by HEAR's rule the first network that is
    # perfect on valid answers, which there is after 15 steps.
    counts = (1200, 400) if name.startswith("hear-mlp") else (120, 40)
    train, valid = (blobs(name, n, seed=seed) for seed, n in enumerate(counts, start=1))
    scores = answer(name, train, valid, test.features)
    assert scores.shape == (80, CLASSES)
    assert scores.isfinite().all()
    assert score("accuracy", test, scores) == 1.0


@quick
@for_many_labels
def test_many_labels_are_ranked_well(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.probes.training.EPOCHS", 30)
    train, valid, test = (blobs(name, n, seed=n, spread=0.05, many=True) for n in (300, 60, 100))
    scores = answer(name, train, valid, test.features)
    assert scores.shape == (100, CLASSES)
    assert score("macro_map", test, scores) > 0.97


@few
@every
def test_shuffled_labels_stay_at_chance(name: str) -> None:
    train, valid, test = (shuffled(blobs(name, n, seed=n), 10 * n) for n in (400, 100, 401))
    scores = answer(name, train, valid, test.features)
    spread = (0.25 * 0.75 / 401) ** 0.5
    assert abs(score("accuracy", test, scores) - 0.25) < 4 * spread


@few
@every
def test_the_same_examples_give_the_same_scores(name: str) -> None:
    train, valid, test = (blobs(name, n, seed=n, spread=1.0) for n in (120, 40, 80))
    first = answer(name, train, valid, test.features)
    assert torch.equal(first, answer(name, train, valid, test.features))


@few
@every
def test_fitting_again_forgets_the_first_fit(name: str) -> None:
    train, valid, test = (blobs(name, n, seed=n, spread=1.0) for n in (120, 40, 80))
    probe = probes.create(name)
    probe.fit(shuffled(train, 5), shuffled(valid, 6))
    probe.fit(train, valid)
    assert torch.equal(probe.predict(test.features), answer(name, train, valid, test.features))


@few
@every
def test_a_clip_is_scored_alone(name: str) -> None:
    train, valid, test = (blobs(name, n, seed=n, spread=1.0) for n in (120, 40, 80))
    probe = probes.create(name)
    probe.fit(train, valid)
    together = probe.predict(test.features)
    for position in (0, 41, 79):
        alone = probe.predict(test.features[torch.tensor([position])])
        torch.testing.assert_close(alone[0], together[position], rtol=1e-4, atol=1e-5)
    strange = all_but_first(test.features, 1e3)
    torch.testing.assert_close(probe.predict(strange)[0], together[0], rtol=1e-4, atol=1e-5)


@every
def test_predict_receives_features_and_nothing_else(name: str) -> None:
    parameters = inspect.signature(type(probes.create(name)).predict).parameters
    assert list(parameters) == ["self", "features"]


@few
@every
def test_fit_and_predict_leave_their_arguments_alone(name: str) -> None:
    train, valid, test = (blobs(name, n, seed=n, spread=1.0) for n in (120, 40, 80))
    copies = [everything(examples.features) for examples in (train, valid, test)]
    answer(name, train, valid, test.features)
    for examples, copy in zip((train, valid, test), copies, strict=True):
        assert torch.equal(everything(examples.features), copy)


@few
@every
def test_the_scale_and_offset_of_a_constant_dimension_do_not_matter(name: str) -> None:
    train, valid, test = (blobs(name, n, seed=n, spread=1.0) for n in (120, 40, 80))

    def among(value: float) -> Tensor:
        wide = [
            Examples(widened(part.features, value), part.targets, CLASSES) for part in (train, valid)
        ]
        return answer(name, *wide, widened(test.features, value))

    assert torch.equal(among(0.0), among(1e3))
    if type(probes.create(name)).reads == "clip":  # others have another start where they are wider
        plain = answer(name, train, valid, test.features)
        assert (plain.argmax(1) == among(1e3).argmax(1)).float().mean() >= 0.97


@few
@every
def test_a_class_that_nobody_shows_is_never_the_answer(name: str) -> None:
    train, valid, test = (blobs(name, n, seed=n) for n in (120, 40, 80))
    kept = [
        Examples(e.features[(e.targets != 2).nonzero()[:, 0]], e.targets[e.targets != 2], 4)
        for e in (train, valid)
    ]
    scores = answer(name, kept[0], kept[1], test.features)
    assert scores.isfinite().all()
    assert (scores.argmax(dim=1) != 2).all()


def test_a_wrong_name_is_answered_with_its_neighbour() -> None:
    with pytest.raises(UsageError, match="Did you mean 'linear@1'"):
        probes.create("linear")
