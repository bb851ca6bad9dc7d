"""Small nets trained by gradient: all learning rates of a probe side by side, in one pass.

The nets of all learning rates are stacked tensors ``(nets, ...)``, so that a batch is read once and its
products are shared. What is common to the probes that are trained: AdamW with a cosine to zero; batches
in an order that depends on nothing but the number of clips; the learning rate chosen on valid; then a
net trained again on train and valid together, as ``linear@1`` does, so that probes differ by method and
not by data. It works on the CPU, and the same data give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generators.drawer import BadData
from suite.metrics import METRICS
from suite.probes.base import Examples, Features, Sounds, Tokens
from suite.probes.linear import FLOOR, learnable
from suite.progress import Progress

EPOCHS = 60  # spec evaluation.md 2.6
BATCH, SMALLEST_BATCH, STEPS = 64, 8, 32  # clips; the batch shrinks until an epoch has 32 steps
DECAY = 0.01  # AdamW's weight decay
PADDED = 2**16  # tokens at once, padding included: longer batches are read in pieces
HELD = 2**26  # numbers that are kept in memory, a quarter of a gigabyte; more are read again

Parameters = dict[str, Tensor]  # each (nets, ...), or (...) of a single net


@dataclass(frozen=True)
class Method(Generic[Features]):
    """A net as functions: how it reads clips, how it starts and what it answers.

    ``read(features, clips)`` makes a batch of clips by their positions, from which clips can be taken
    by theirs (a tensor, or :class:`suite.probes.token_batches.Batch`); ``start(examples, targets)``
    gives the parameters of one net for ``targets (n, C)``; ``logits(parameters, batch)`` gives
    ``(nets, b, C)`` for stacked parameters. ``rates`` are the learning rates to choose from, ascending.
    """

    name: str
    rates: tuple[float, ...]
    read: Callable[[Features, Tensor], Any]
    start: Callable[[Examples[Features], Tensor], Parameters]
    logits: Callable[[Parameters, Any], Tensor]


@dataclass(frozen=True)
class Nets(Generic[Features]):
    """Trained nets, one a learning rate, and the classes that could be learnt."""

    method: Method[Features]
    parameters: Parameters  # (nets, ...)
    known: Tensor  # bool (classes,)
    constant: Tensor  # scores (classes,) of the classes that could not
    many: bool

    def scores(self, features: Features) -> Tensor:
        """Log-probabilities (one label) or log-odds (many) ``(nets, n, classes)``; float16 can hold."""
        sizes = sizes_of(features)
        nets = len(next(iter(self.parameters.values())))
        scores = self.constant.repeat(nets, len(sizes), 1)
        if not self.known.any():
            return scores
        read = reader(self.method, features, sizes)
        with torch.no_grad():
            for part in np.array_split(np.arange(len(sizes)), -(-len(sizes) // BATCH)):
                for clips in pieces(torch.from_numpy(part), sizes):
                    logits = self.method.logits(self.parameters, read(clips))
                    said = logits if self.many else logits.log_softmax(dim=2)
                    place = scores[:, clips]
                    place[:, :, self.known] = said.clamp(-FLOOR, FLOOR)
                    scores[:, clips] = place
        return scores


@dataclass(frozen=True)
class Learnt(Generic[Features]):
    """A net with the chosen learning rate, trained on train and valid together."""

    net: Nets[Features]
    selection: dict[str, Any]
    held_out: Tensor  # scores (n, classes) of valid, by the net that was trained on train alone

    def scores(self, features: Features) -> Tensor:
        """Scores ``(n, classes)``."""
        return self.net.scores(features)[0]


def learn(
    method: Method[Features], train: Examples[Features], valid: Examples[Features]
) -> Learnt[Features]:
    """Train a net for every rate, keep the rate of the best valid score, train again with it on both.

    The score is accuracy, or macro mAP for many labels; the net is that of the last epoch, and ties go
    to the smaller rate.
    """
    many = train.targets.ndim == 2
    metric = "macro_map" if many else "accuracy"
    answers = train_nets(method, train, method.rates).scores(valid.features)
    truth = valid.targets.cpu().numpy()
    scores = [METRICS[metric](truth, answer.numpy()) for answer in answers]
    chosen = max(range(len(scores)), key=lambda net: (scores[net], -net))
    both = Examples(
        joined(train.features, valid.features),
        torch.cat([train.targets, valid.targets]),
        train.classes,
    )
    net = train_nets(method, both, method.rates[chosen : chosen + 1])
    selection = {
        "learning_rate": method.rates[chosen],
        f"valid_{metric}": scores[chosen],
        "epochs": EPOCHS,
    }
    return Learnt(net, selection, answers[chosen])


def train_nets(
    method: Method[Features], examples: Examples[Features], rates: Sequence[float]
) -> Nets[Features]:
    """One net a learning rate, all from the same start and on the same batches."""
    many = examples.targets.ndim == 2
    targets = examples.targets.cpu()
    targets = targets.float() if many else F.one_hot(targets, examples.classes).float()
    known = learnable(targets, many=many)
    constant = torch.where(targets.bool().all(dim=0), FLOOR, -FLOOR)
    sizes, targets = sizes_of(examples.features), targets[:, known]
    started = method.start(examples, targets)
    leaves = {name: [value.clone() for _ in rates] for name, value in started.items()}
    if known.any():
        descend(method, examples.features, targets, sizes, leaves, rates, many=many)
    parameters = {name: torch.stack(values).detach() for name, values in leaves.items()}
    return Nets(method, parameters, known, constant, many)


def descend(
    method: Method[Features],
    features: Features,
    targets: Tensor,
    sizes: np.ndarray,
    leaves: dict[str, list[Tensor]],
    rates: Sequence[float],
    *,
    many: bool,
) -> None:
    """Lower the loss of every net in place: cross-entropy, or the mean binary one for many labels."""
    for values in leaves.values():
        for value in values:
            value.requires_grad_(True)
    groups = [
        {"params": [values[net] for values in leaves.values()], "lr": rate}
        for net, rate in enumerate(rates)
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=DECAY, fused=True)
    generator = torch.Generator().manual_seed(0)
    batch = min(BATCH, max(SMALLEST_BATCH, len(sizes) // STEPS))
    steps_an_epoch = -(-len(sizes) // batch)
    steps = EPOCHS * steps_an_epoch
    read = reader(method, features, sizes)
    progress = Progress(f"{method.name}, {len(rates)} learning rates", steps, 0, batch)
    for step in range(steps):
        if step % steps_an_epoch == 0:
            batches = torch.randperm(len(sizes), generator=generator).split(batch)
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * 0.5 * (1.0 + math.cos(math.pi * step / steps))
        clips = batches[step % steps_an_epoch]
        optimiser.zero_grad()
        for piece in pieces(clips, sizes):
            stacked = {name: torch.stack(values) for name, values in leaves.items()}
            logits = method.logits(stacked, read(piece))
            (losses(logits, targets[piece], many=many).sum() / len(clips)).backward()
        optimiser.step()
        if step + 1 < steps:
            progress.update(step + 1)
    progress.close()


def reader(method: Method[Features], features: Features, sizes: np.ndarray) -> Callable[[Tensor], Any]:
    """Batches of clips by their positions: taken from memory where all fit, else read each time."""
    if len(sizes) * int(sizes.max()) * numbers_of(features) > HELD:
        return lambda clips: method.read(features, clips)
    held = method.read(features, torch.arange(len(sizes)))
    return lambda clips: held[clips]


def losses(logits: Tensor, targets: Tensor, *, many: bool) -> Tensor:
    """The loss ``(nets, b)`` of logits ``(nets, b, C)`` for targets ``(b, C)`` of zeros and ones."""
    if many:
        wanted = targets.expand_as(logits)
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(dim=2)
    return -(logits.log_softmax(dim=2) * targets).sum(dim=2)


def pieces(clips: Tensor, sizes: np.ndarray) -> Iterator[Tensor]:
    """``clips`` by length, in pieces whose padded tokens are at most PADDED, or of a single clip."""
    ordered = clips[torch.from_numpy(np.argsort(sizes[clips.numpy()], kind="stable"))]
    first = 0
    for end in range(1, len(ordered) + 1):
        longest = int(sizes[ordered[end]]) if end < len(ordered) else 0
        if end == len(ordered) or longest * (end + 1 - first) > PADDED:
            yield ordered[first:end]
            first = end


def sizes_of(features: Any) -> np.ndarray:
    """How many tokens each clip has, ``(n,)``: one, where a clip is a row of a tensor."""
    if isinstance(features, Tokens):
        return features.counts
    return np.ones(len(features), dtype=np.int64)


def numbers_of(features: Any) -> int:
    """How many numbers a token has, or a clip that is a row of a tensor."""
    if isinstance(features, Tokens):
        return int(features.vectors[0].shape[1])
    return int(features[0].numel())


def joined(first: Any, second: Any) -> Any:
    """The features of train, then those of valid."""
    if isinstance(first, Tokens):
        return Tokens([*first.vectors, *second.vectors])
    if isinstance(first, Sounds):
        return replace(first, images=[*first.images, *second.images])
    return torch.cat([first, second])


def check_usable(name: str, part: str, features: Any) -> None:
    """Raise :class:`BadData` where a part has no clips, or numbers that are none."""
    vectors = features.vectors if isinstance(features, Tokens) else [features.cpu().numpy()]
    if len(features) == 0 or not all(len(some) and np.isfinite(some).all() for some in vectors):
        raise BadData(
            f"{name} cannot use the {part} features: they are empty, or hold NaN or infinity. Check "
            "the encoder (its loss may have diverged) and embed again."
        )


def xavier(*shape: int, generator: torch.Generator) -> Tensor:
    """Uniform random matrices ``(..., out, in)`` that keep the variance (Xavier)."""
    bound = math.sqrt(6.0 / (shape[-1] + shape[-2]))
    return (2.0 * torch.rand(*shape, generator=generator) - 1.0) * bound
