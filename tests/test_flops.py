"""FLOPs of a training step as rows store them, against a count by hand.

.venv/bin/python -m pytest tests/test_flops.py
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from suite import drawers
from suite.encoder import Architecture, Encoder
from suite.objectives.base import DecoderSize, Objective
from suite.stem import MultiResolutionStem
from suite.step import Draws, count_flops

WIDTH, DEPTH, HEADS, PIXELS, CLONES = 64, 3, 2, 256, 5
DECODER = DecoderSize(width=32, depth=2, heads=2)
PATCHES, SEEN, HIDDEN = 30, 7, 23  # of images of 80 x 96, three quarters of them hidden


def build(name: str, **fields: Any) -> Objective:
    torch.manual_seed(0)
    settings = drawers.objectives.create(name, **fields)
    architecture = Architecture(**settings.architecture)
    encoder = Encoder(width=WIDTH, depth=DEPTH, heads=HEADS, architecture=architecture)
    objective: Objective = settings.build(encoder, DECODER, 0)
    return objective


def counted(objective: Objective, clips: int = 2) -> float:
    draws = Draws(masking=drawers.masks.create("random", ratio=0.75), seed=0, step=0, steps=10)
    return count_flops(objective, draws, torch.randn(clips, 80, 96), None)


def blocks(tokens: int, width: int = WIDTH, depth: int = DEPTH) -> int:
    """Multiplications of transformer blocks forward, a row: 12 width^2 a token, and attention's two."""
    return depth * (12 * tokens * width**2 + 2 * tokens**2 * width)


def test_mae_s_flops_are_those_counted_by_hand() -> None:
    width, tokens = DECODER.width, 1 + PATCHES
    embedding = SEEN * PIXELS * WIDTH
    decoder = (1 + SEEN) * WIDTH * width + blocks(tokens, width, DECODER.depth)
    decoder -= 8 * (tokens - HIDDEN) * width**2  # the last MLP sees hidden patches alone
    decoder += HIDDEN * width * PIXELS
    # Backwards twice as much, but nothing flows back into pixels.
    by_hand = 2 * (2 * embedding + 3 * (blocks(1 + SEEN) + decoder))
    assert counted(build("mae")) == pytest.approx(by_hand, rel=1e-3)


def convolutional_decoder(layers: int = 6, kernel: int = 3, groups: int = 16) -> int:
    """Multiplications of EAT's decoder forward, a row."""
    return layers * PATCHES * kernel**2 * WIDTH**2 // groups + HIDDEN * WIDTH**2


def test_eat_s_flops_are_those_counted_by_hand() -> None:
    """The teacher goes forward, once a clip; all masks of a clip share one embedding."""
    embedding = PATCHES * PIXELS * WIDTH
    teacher = embedding + blocks(1 + PATCHES)
    student = 2 * embedding + CLONES * 3 * (blocks(1 + SEEN) + convolutional_decoder())
    by_hand = 2 * (teacher + student)
    assert counted(build("eat", clones=CLONES)) == pytest.approx(by_hand, rel=1e-3)


def stem(objective: Objective, patches: int) -> tuple[int, int]:
    """Multiplications of CAT's stem forward: of its first product, and a row of all that follows."""
    made = objective.encoder.patch_embedding
    assert isinstance(made, MultiResolutionStem)
    sizes = [int(norm.normalized_shape[0]) for norm in made.norms.children()]
    cells = [side**2 for side in made.sides]
    first, rest = PIXELS * sizes[0], patches * WIDTH**2
    for stage, count in enumerate(cells[:-1]):
        channels, after = sizes[stage], sizes[stage + 1]
        points = 2 * count * (2 * channels**2 + 8 * channels**2)
        branch, embedding = count * channels * WIDTH, count * channels * after
        rest += patches * (points + branch + embedding)
        rest += patches * 2 * count * 25 * channels
    return first, rest


def pairs_no_weight_joins(objective: Objective, patches: int) -> int:
    """Products of a row in the gradient of the 5 x 5's weights that are of no weight."""
    made = objective.encoder.patch_embedding
    assert isinstance(made, MultiResolutionStem)
    sizes = [int(norm.normalized_shape[0]) for norm in made.norms.children()]
    return sum(
        patches * 2 * side**2 * ((side + 4) ** 2 - 25) * channels
        for side, channels in zip(made.sides[:-1], sizes, strict=False)
    )


def test_cat_s_flops_are_those_counted_by_hand() -> None:
    objective = build("cat", clones=CLONES, regulariser="none")
    first, rest = stem(objective, PATCHES)
    teacher = PATCHES * first + rest + blocks(1 + PATCHES)
    row = stem(objective, SEEN)[1] + blocks(1 + SEEN) + convolutional_decoder()
    student = CLONES * 3 * row + 2 * first * min(PATCHES, CLONES * SEEN)
    student += CLONES * pairs_no_weight_joins(objective, SEEN)
    by_hand = 2 * (teacher + student)
    assert counted(objective) == pytest.approx(by_hand, rel=1e-3)


@pytest.mark.parametrize(("clips", "clones"), [(3, 1), (3, CLONES)])
@pytest.mark.parametrize("name", ["eat", "cat"])
def test_a_clip_is_embedded_and_taught_once_whatever_its_clones(
    name: str, clips: int, clones: int
) -> None:
    """Rows that enter the first product of the student, and the teacher's last block."""
    fields = {"regulariser": "none"} if name == "cat" else {}
    objective: Any = build(name, clones=clones, **fields)
    embedding = objective.encoder.patch_embedding
    student = embedding.embeddings[0] if name == "cat" else embedding
    entered: dict[str, list[int]] = {"student": [], "teacher": []}

    def remember(who: str) -> Any:
        return lambda _module, inputs: entered[who].append(inputs[0].shape[0])

    student.register_forward_pre_hook(remember("student"))
    objective.teacher.blocks[-1].register_forward_pre_hook(remember("teacher"))
    counted(objective, clips)
    assert entered == {"student": [clips], "teacher": [clips]}
