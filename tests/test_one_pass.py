"""All that probes read of a task comes from one pass of the encoder, and is the same made alone.

.venv/bin/python -m pytest tests/test_one_pass.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import foreign_ears
import pytest
import tiny_runs
import torch
from tone_tasks import FRONTEND, Tones, encoder, raw_images, trained

from suite import views as viewing
from suite.blocks import PreNormBlock
from suite.checkpoint import Trained
from suite.chunks import Said, clip_views
from suite.embed import Hearing
from suite.encoder import Encoder
from suite.evaluate import evaluate
from suite.foreign import load_foreign
from suite.frontend import FrontEnd
from suite.machine import Machine
from suite.pooling import POOLINGS
from suite.rows import POOLING, predictions_of, read_predictions
from suite.views import views

CLIPS = 48  # of the task Tones: of three lengths, each of two chunks
VIEWS: tuple[Said, ...] = ("clip", "layers", "tokens")


def stored(cache: Path) -> dict[str, bytes]:
    """The .npy files of embeddings, layers and tokens."""
    folders = [cache / name for name in ("embeddings", "layers", "tokens")]
    paths = [path for folder in folders for path in folder.rglob("*.npy")]
    return {str(path.relative_to(cache)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("hearing", ["encoder", "control", "foreign"])
def test_a_view_has_the_same_bits_whichever_are_made_beside_it(hearing: str, tmp_path: Path) -> None:
    """Together, one after the other, or only where an earlier command has left a gap."""
    ears = load_foreign(foreign_ears.__name__)
    control = Trained(None, FrontEnd(bands=64), "mel_statistics@1")
    who: Hearing = {"encoder": trained(), "control": control, "foreign": ears}[hearing]
    orders: list[list[Sequence[Said]]] = [
        [VIEWS],
        [[view] for view in VIEWS],
        [["tokens"], ["layers", "clip"]],
        [["clip", "tokens"], VIEWS],
    ]
    for number, order in enumerate(orders):
        for asked in order:
            views(Tones(), who, tiny_runs.machine(), tmp_path / str(number), asked)
    together, *others = (stored(tmp_path / str(number)) for number in range(len(orders)))
    assert len(together) == len(VIEWS)
    assert all(files == together for files in others)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_an_embedding_has_the_same_bits_whichever_views_are_beside_it(pooling: str) -> None:
    model, raw, machine = encoder(), raw_images(112), tiny_runs.machine()
    together = clip_views(model, FRONTEND, raw, machine, VIEWS, pooling)
    assert list(together) == list(VIEWS)
    for view in VIEWS:
        alone = clip_views(model, FRONTEND, raw, machine, [view], pooling)
        assert list(alone) == [view]
        assert torch.equal(alone[view], together[view])


def test_all_probes_share_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of 50 to 70 frames are two chunks of 48 each: every one goes through the encoder once."""
    monkeypatch.setattr("suite.probes.training.EPOCHS", 1)
    passed: list[int] = []
    forward = PreNormBlock.forward

    def counted(block: PreNormBlock, tokens: torch.Tensor) -> torch.Tensor:
        passed.append(len(tokens))
        return forward(block, tokens)

    run = tiny_runs.run(tmp_path, "frontend.frames=48")
    place = (tiny_runs.machine(), tmp_path / "cache")
    monkeypatch.setattr(PreNormBlock, "forward", counted)  # of an encoder of one block
    evaluate(run, [Tones()], ["linear@1", "attentive@1", "layers@1"], *place)
    assert sum(passed) == 2 * CLIPS
    evaluate(run, [Tones()], ["knn@1", "prototype@1"], *place)
    assert sum(passed) == 2 * CLIPS  # all they read is there
    evaluate(run, [Tones()], ["linear@1", "attentive@1"], *place, pooling="class-token@1")
    assert sum(passed) == 4 * CLIPS  # a further view is a pass for that alone
    assert len(stored(tmp_path / "cache")) == 4


def test_hears_two_calls_are_made_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A foreign encoder's scenes are its embedding and its layer; its timestamps are its tokens."""
    ears, called = load_foreign(foreign_ears.__name__), {"scene": 0, "timestamp": 0}
    for name in called:
        call = getattr(foreign_ears, f"get_{name}_embeddings")

        def counted(
            audio: torch.Tensor, model: object, name: str = name, call: object = call
        ) -> object:
            called[name] += len(audio)
            return call(audio, model)  # type: ignore[operator]

        monkeypatch.setattr(foreign_ears, f"get_{name}_embeddings", counted)
    views(Tones(), ears, tiny_runs.machine(), tmp_path, ["clip", "layers"])
    assert called == {"scene": CLIPS, "timestamp": 0}
    views(Tones(), ears, tiny_runs.machine(), tmp_path, VIEWS)
    assert called == {"scene": CLIPS, "timestamp": CLIPS + 3}  # and noise of each length, for the price


def test_two_commands_at_once_make_each_view_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins while the first embeds: it waits, and makes only what the first did not."""
    heard: dict[str, int] = dict.fromkeys(VIEWS, 0)
    second = Thread(target=lambda: views(Tones(), trained(), tiny_runs.machine(), tmp_path, VIEWS))

    def counted(
        model: Encoder,
        frontend: FrontEnd,
        raw: torch.Tensor,
        machine: Machine,
        asked: list[Said],
        pooling: str,
    ) -> dict[Said, torch.Tensor]:
        if not any(heard.values()):
            second.start()
        for view in asked:
            heard[view] += len(raw)
        return clip_views(model, frontend, raw, machine, asked, pooling)

    monkeypatch.setattr(viewing, "clip_views", counted)
    views(Tones(), trained(), tiny_runs.machine(), tmp_path, ["clip", "tokens"])
    second.join(timeout=60)
    assert heard == dict.fromkeys(VIEWS, CLIPS)
    assert len(stored(tmp_path)) == len(VIEWS)


def test_only_what_is_asked_for_is_made(tmp_path: Path) -> None:
    made = views(Tones(), trained(), tiny_runs.machine(), tmp_path, ["tokens", "layers"])
    assert sorted(made) == ["layers", "tokens"]
    assert not (tmp_path / "embeddings").exists()


def test_a_run_is_scored_by_its_tokens_and_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suite.probes.training.EPOCHS", 3)
    run = tiny_runs.run(tmp_path)
    asked = ["linear@1", "attentive@1", "prototype@1", "layers@1"]
    place = (tiny_runs.machine(), tmp_path / "cache")
    done = evaluate(run, [Tones()], asked, *place, pooling="class-token@1")
    assert [row.probe for row in done.rows] == asked
    assert [row.pooling for row in done.rows] == ["class-token@1", POOLING, POOLING, POOLING]
    for row in done.rows:
        predictions = read_predictions(predictions_of(row, run / "predictions"))
        assert len(predictions.clip) == row.n_test == 12
    weights = done.rows[-1].selection["layer_weights"]
    assert len(weights) == 2  # the embedding and one block
    assert sum(weights) == pytest.approx(1.0, abs=2e-3)
    # another pooling is another question to the probe that is pooled, and to no other
    done = evaluate(run, [Tones()], asked, *place)
    assert (done.measured, done.already) == (1, 3)
