"""An ablation as it is typed: its file, its axes, its cells, and everything that is refused.

.venv/bin/python -m pytest tests/test_ablation.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from trivial_studies import AXES, grid, search

from generators.drawer import UsageError
from suite import cli
from suite.ablate import ablate
from suite.ablation import Ablation, read
from suite.comparison import cell_of, running
from suite.drawers import presets
from suite.study_runs import check_experiment, representatives

TINY = {
    "base": ["source=audiopg", "scale=nano"],
    "axes": {"ratio": {"word": "masking.ratio={}", "values": [0.75, 0.5]}},
    "tasks": ["toy_pitch"],
    "probes": ["linear"],
}


def written(folder: Path, **changes: Any) -> str:
    """A word that chooses a file of this content."""
    path = folder / "mine.yaml"
    path.write_text(f"# Mine.\n{yaml.safe_dump({**TINY, **changes})}")
    return f"ablation={path}"


@pytest.mark.parametrize("name", list(presets("ablation")))
def test_every_ready_study_could_be_trained(name: str, tmp_path: Path) -> None:
    asked, about = read([f"ablation={name}"])
    assert asked.name == name
    assert about.endswith((".", "?"))
    settings = running([*asked.base, f"paths.cache={tmp_path}"], asked.tasks, asked.probes)
    cells = [cell_of([*asked.words(cell), "seed=0"]) for cell in representatives(asked)]
    for cell in cells:
        check_experiment(cell.experiment, settings)
    assert len({cell.experiment.run_id for cell in cells}) == len(cells)  # no choice changes nothing


def test_the_cells_of_a_grid_are_every_combination_once_the_default_first() -> None:
    cells = list(grid().cells())
    assert cells[0] == {"shape": "round", "speed": "1"} == grid().default
    assert len(cells) == 2 + 3 * 2  # edges are varied where the shape is square
    assert len({tuple(sorted(cell.items())) for cell in cells}) == len(cells)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.booleans())
def test_a_grid_has_as_many_cells_as_its_axes_say(sizes: list[int], waits: bool) -> None:
    axes: dict[str, Any] = {
        f"axis{i}": {"word": f"key{i}={{}}", "values": list(range(size))}
        for i, size in enumerate(sizes)
    }
    expected = 1
    for size in sizes:
        expected *= size
    if waits and len(sizes) > 1:
        axes[f"axis{len(sizes) - 1}"]["where"] = {"axis0": "0"}
        others = expected // sizes[-1]
        expected = others // sizes[0] * (sizes[-1] + sizes[0] - 1)
    assert len(list(grid(axes=axes).cells())) == expected


def test_a_cell_types_its_words_behind_those_of_the_base() -> None:
    asked = grid(base=("source=audiopg",))
    cell = asked.completed({"shape": "square", "edge": "2"})
    assert asked.words(cell) == ["source=audiopg", "shape=square", "edge=2", "speed=1"]
    with pytest.raises(UsageError, match="where its value goes"):
        grid(axes={"weight": {"word": "source.parts=3", "values": [3]}}).default  # noqa: B018


def test_words_of_the_experiment_join_the_base(tmp_path: Path) -> None:
    word = written(tmp_path)
    words = [word, "scale.samples_seen=640", "ablation.seeds=3", "workers=2", "dry=true"]
    asked, about = read(words)
    assert asked.base == ("source=audiopg", "scale=nano", "scale.samples_seen=640")
    assert (asked.seeds, about) == (3, "Mine.")
    pool = "ablation.axes.pool={word: 'pool={}', values: [8, 16]}"
    assert [axis.name for axis in read([word, pool])[0].asked] == ["ratio", "pool"]
    assert [axis.name for axis in read([word, pool, "ablation.axes.ratio=null"])[0].asked] == ["pool"]


REFUSED = {
    "unknown ablation 'maskin'. Did you mean 'masking' or 'mask_ratio'?": ["ablation=maskin"],
    "there is no such file": ["ablation=nowhere.yaml"],
    "which ablation": ["workers=2"],
    "unknown sampler 'tpee'. Did you mean 'tpe'?": ["ablation.sampler=tpee"],
    "unknown pruner 'medium'": ["ablation.pruner=medium"],
    "unknown cost 'flop'. Did you mean 'flops'?": ["ablation.cost=flop"],
    "unknown key of mine.yaml 'sampller'. Did you mean 'sampler'": ["ablation.sampller=tpe"],
    "is a search: type trials=40": ["ablation.design=search"],
    "is a grid: every cell is filled": ["trials=4"],
    "has nothing to look at": ["ablation.design=search", "trials=4", "ablation.pruner=median"],
    "cannot prune": ["ablation.cost=flops", "ablation.pruner=median", "ablation.seeds=2"],
    "an ablation sets 'seed' itself": ["seed=3"],
    "ablation.seeds=0": ["ablation.seeds=0"],
    "cannot name a folder": ["ablation.name=masks/mine"],
    "expected shares between 0 and 1": ["ablation.rungs=[2.0]"],
    "is a range, which a grid cannot fill": [
        "ablation.axes.ratio={word: 'masking.ratio={}', low: 0.5, high: 0.9, default: 0.75}"
    ],
    "low=0.9 must be below high=0.5": [
        "ablation.axes.ratio={word: 'masking.ratio={}', low: 0.9, high: 0.5, default: 0.75}"
    ],
    "needs a default": ["ablation.axes.ratio={word: 'masking.ratio={}', low: 0.1, high: 0.5}"],
    "axis 'ratio' has no key 'valuess'": ["ablation.axes.ratio.valuess=[1]"],
    "waits for 'shape', no axis before it": ["ablation.axes.ratio.where={shape: square}"],
    "its default '3' is none of its choices": ["ablation.axes.ratio.default=3"],
    "is not among the study's tasks": ["ablation.score=esc50 linear@1"],
    "unknown control 'untraind'. Did you mean 'untrained'?": ["ablation.controls=[untraind]"],
    "unknown probe 'lineer'": ["ablation.probes=[lineer]"],
}


@pytest.mark.parametrize("message", list(REFUSED))
def test_what_is_malformed_is_refused_with_its_cure(tmp_path: Path, message: str) -> None:
    words = REFUSED[message]
    chosen = any(word.startswith(("ablation=", "workers=")) for word in words)
    with pytest.raises(UsageError) as refusal:
        read([*([] if chosen else [written(tmp_path)]), *words])
    assert message in str(refusal.value)


BEFORE_TRAINING = {
    "masking 'random' has no key 'ratoi'. Did you mean 'ratio'?": {
        "ratio": {"word": "masking.ratoi={}", "values": [0.5]}
    },
    "leaves 0 of 65 patches visible": {"ratio": {"word": "masking.ratio={}", "values": [0.75, 0.999]}},
    "source.saw=-1.0 is no weight": {"saw": {"word": "source.saw={}", "values": [0.5, -1.0]}},
    "unknown masking 'tyme'": {"strategy": {"word": "masking={}", "values": ["random", "tyme"]}},
}


@pytest.mark.parametrize("message", list(BEFORE_TRAINING))
def test_a_cell_that_cannot_be_trained_is_refused_before_any_is(tmp_path: Path, message: str) -> None:
    word = written(tmp_path, axes=BEFORE_TRAINING[message])
    places = [f"paths.{name}={tmp_path / name}" for name in ("runs", "cache", "results")]
    with pytest.raises(UsageError) as refusal:
        ablate([word, *places], "", print)
    assert message in str(refusal.value)
    assert "In the cell" in str(refusal.value)
    assert not (tmp_path / "runs").exists()


def test_the_door_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ablate", "ablation=primitivs"]) == cli.USAGE
    assert "Did you mean 'primitives'?" in capsys.readouterr().err
    assert cli.main(["ablate", "--help"]) == cli.DONE
    assert "ablation=masking" in capsys.readouterr().out


def test_the_space_says_everything_that_a_trial_means() -> None:
    asked = search()
    assert asked.space() != search(sampler="random").space()
    assert asked.space() == search(trials=99).space()  # more trials are the same study
    assert grid().space() == grid(seeds=5).space()  # and more seeds of a grid
    assert isinstance(asked, Ablation)
    assert set(AXES) == set(grid().space()["axes"])
