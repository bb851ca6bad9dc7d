"""Small networks trained side by side on the same batches, and the best of them chosen.

How: spec evaluation.md 2.2, after HEAR's evaluation kit. On a CPU the time is that of the matrix
products, which are as fast one network at a time as stacked, and stay in the cache. So networks share
what can be shared. (1) Products are bfloat16 where the processor has instructions for it, with float32
weights, sums and optimiser. (2) One order of the clips and one draw of dropout serve all networks: to
draw costs as much as half a product. (3) Adam is torch's fused one. (4) A network that cannot be chosen
any more is not trained further. (5) A thread trains a whole network: no waiting within an operation.
What a network becomes depends neither on those beside it nor on the number of threads.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from generators.drawer import BadData
from suite.probes import networks
from suite.probes.networks import Network, Point

BATCH = 1024  # clips
EPOCHS = 500
CHECK = 3  # epochs from one look at valid to the next
PATIENCE = 20  # looks without a better score that end the training
SEED = 42


@dataclass(frozen=True)
class Batch:
    """Inputs ``(n, D)`` less the mean over all of train, and targets, ``(n,)`` or ``(n, classes)``."""

    inputs: Tensor
    targets: Tensor


@dataclass
class Watch:
    """Early stopping: the best score so far, the epochs it took, and the looks at valid since."""

    score: float = -math.inf
    epoch: int = 0
    waited: int = 0

    def better(self, score: float, epoch: int) -> bool:
        """Take note of a score; whether it is better than all before. NaN is not."""
        if score > self.score:
            self.score, self.epoch, self.waited = score, epoch, 0
            return True
        self.waited += 1
        return False

    @property
    def over(self) -> bool:
        """Whether training ends: no better score for long, or none can be."""
        return self.waited >= PATIENCE or self.score >= 1.0


@dataclass
class Candidate:
    """One network of the grid in training, and what it was at its best."""

    point: Point
    network: Network
    optimiser: torch.optim.Adam
    watch: Watch = field(default_factory=Watch)
    best: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def fresh(cls, point: Point, centre: Tensor, classes: int, seed: int) -> Candidate:
        """A candidate before its first step."""
        network = Network(point, centre, classes, seed=seed)
        learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
        return cls(point, network, torch.optim.Adam(learnt, lr=point.lr, fused=True))

    def step(self, batch: Batch, kept: Sequence[Tensor]) -> None:
        """One step on a batch: cross-entropy of one label, binary cross-entropy of many.

        Products are bfloat16 where the inputs are.
        """
        self.optimiser.zero_grad()
        rounded = batch.inputs.dtype == torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            logits = self.network.in_training(batch.inputs, kept)
        many = batch.targets.ndim == 2
        loss = F.binary_cross_entropy_with_logits if many else F.cross_entropy
        loss(logits.to(self.network.projection.weight), batch.targets).backward()
        self.optimiser.step()

    def look(self, check: Callable[[Network], float], epoch: int) -> None:
        """Score the network on valid, and keep it where it is better than before."""
        if self.watch.better(check(self.network), epoch):
            self.best = copy.deepcopy(self.network.state_dict())


def train(
    points: Sequence[Point],
    inputs: Tensor,
    targets: Tensor,
    classes: int,
    check: Callable[[Network], float],
    *,
    products: torch.dtype,
) -> Candidate:
    """Train a network for every point and return the one that is best by ``check``, as at its best.

    ``inputs`` is float32 ``(n, D)``, ``targets`` int64 ``(n,)`` or float32 ``(n, classes)``; ``check``
    scores a network on valid, 1 at most. Of equals the first of ``points`` is chosen, and its earliest
    epoch. Raises :class:`BadData` where no network gives numbers.
    """
    with threads_for_whole_networks() as for_each:
        centre = inputs.mean(dim=0)
        centred = (inputs - centre).to(products)
        candidates = [
            Candidate.fresh(point, centre, classes, seed=SEED + 1 + place)
            for place, point in enumerate(points)
        ]
        training = candidates
        order = torch.Generator().manual_seed(SEED)
        dropout = [torch.Generator().manual_seed(SEED + 101 + layer) for layer in range(2)]
        for epoch in range(1, EPOCHS - EPOCHS % CHECK + 1):  # nobody sees the outcome of later ones
            deepest_first = sorted(training, key=lambda one: -one.point.hidden_layers)
            for rows in batches(len(inputs), order):
                batch = Batch(centred[rows], targets[rows])
                layers = deepest_first[0].point.hidden_layers
                kept = [keep(len(rows), generator, products) for generator in dropout[:layers]]
                for_each(partial(Candidate.step, batch=batch, kept=kept), deepest_first)
            if epoch % CHECK == 0:
                for_each(partial(Candidate.look, check=check, epoch=epoch), deepest_first)
                training = in_the_running(training)
                if not training:
                    break
    chosen = max(candidates, key=lambda candidate: candidate.watch.score)  # the first of equals
    if not chosen.best:
        raise BadData(
            "hear-mlp@1 cannot be trained on these features: every network's answers became NaN. "
            "Check the scale of the embeddings (is any above 1e30?) and embed again."
        )
    chosen.network.load_state_dict(chosen.best)
    return chosen


@contextmanager
def one_thread() -> Iterator[int]:
    """No operation is spread over threads meanwhile, which would change its rounding; how many were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of this thread
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


ForEach = Callable[[Callable[[Candidate], None], Sequence[Candidate]], None]


@contextmanager
def threads_for_whole_networks() -> Iterator[ForEach]:
    """A function that does something with every candidate, as many at once as torch has threads."""
    alone = partial(torch.set_num_threads, 1)
    with one_thread() as threads, ThreadPoolExecutor(threads, initializer=alone) as pool:

        def for_each(do: Callable[[Candidate], None], candidates: Sequence[Candidate]) -> None:
            for _ in pool.map(do, candidates) if threads > 1 else map(do, candidates):
                pass

        yield for_each


def in_the_running(training: Sequence[Candidate]) -> list[Candidate]:
    """Who trains on: nobody who is over, or comes after a perfect score, as ties go to the first."""
    left = []
    for candidate in training:
        if not candidate.watch.over:
            left.append(candidate)
        elif candidate.watch.score >= 1.0:
            break
    return left


def batches(n: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The clips of one epoch in a fresh order, 1024 at a time.

    Of one clip alone there is no variance to normalise by: a last batch of one is left out.
    """
    for rows in torch.randperm(n, generator=generator).split(BATCH):
        if len(rows) > 1:
            yield rows


def keep(n: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Ones ``(n, WIDTH)`` with zeros for a share of DROPOUT (to 1e-5), from 16 random bits each."""
    width = networks.WIDTH
    words = torch.empty(math.ceil(n * width / 4), dtype=torch.int64)
    bits = words.random_(-(2**63), None, generator=generator).view(torch.int16)[: n * width]
    return (bits >= round(networks.DROPOUT * 2**16) - 2**15).to(dtype).view(n, width)


def best_products() -> torch.dtype:
    """bfloat16 where the processor multiplies it faster than float32, else float32."""
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32
