"""Laws of every source in the registry; a new file in generators/ is under test at once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_encoder import dead_leaves_run

import generators
from generators.base import Family, Kind, Source, Speed
from generators.drawer import UsageError
from suite.frontend import FrontEnd


def recordings_folder(root: Path) -> dict[str, Any]:
    """A folder of seven generated sounds of different lengths, and the arguments that read it."""
    folder = root / "sounds"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number, length in enumerate((20000, 800, 9000, 31000, 16000, 12345, 40000)):
        sound = rng.uniform(-0.5, 0.5, length).astype(np.float32)
        soundfile.write(folder / f"{number}.wav", sound, 16000)
    return {"folder": folder, "cache": root / "cache"}


def audioset_folder(root: Path) -> dict[str, Any]:
    """A segment list whose clips are those sounds, and the arguments that read it."""
    fields = recordings_folder(root)
    lines = ["# YTID, start_seconds, end_seconds, positive_labels"]
    for number, path in enumerate(sorted(fields["folder"].iterdir())):
        lines.append(f'{number:011d}, 30.000, 40.000, "/m/068hy"')
        path.rename(path.with_name(f"Y{number:011d}.wav"))
    (fields["folder"] / "balanced_train_segments.csv").write_text("\n".join(lines))
    return {**fields, "lists": ("balanced_train",)}


def shaders_folder(root: Path) -> dict[str, Any]:
    """A folder of two shaders, and the arguments that read it; skips where they cannot be drawn."""
    pytest.importorskip("moderngl")
    for rate in (3, 7):
        text = f"o = 0.5 + 0.5 * cos({rate}.0 * t + 9.0 * FC.xyxy / r.xyxy + vec4(0, 1, 2, 0));"
        (root / f"{rate}.frag").write_text(text)
    return {"folder": root}


# Entries that need data: a function from an empty folder to constructor arguments.
DATA: dict[str, Callable[[Path], dict[str, Any]]] = {
    "recordings": recordings_folder,
    "audioset": audioset_folder,
    "feature_vis_dead_leaves": lambda root: {"run": dead_leaves_run(root), "size": 99},
    "shader_files": shaders_folder,
}

# Entries made of others: parts of a small size.
MADE_OF: dict[str, dict[str, Any]] = {
    "mixture": {"parts": {"audiopg": {"seconds": 0.7}, "dead_leaves": {"side": 32, "weight": 2}}},
    "phase_randomised": {"of": {"audiopg": {"seconds": 0.7}}},
    "shuffled_patches": {"of": {"audiopg": {"seconds": 0.7}}, "patch": (8, 8)},
}

# Entries whose published form takes too long for this many samples: the form meant for a CPU.
CHEAP: dict[str, dict[str, Any]] = {
    "stylegan_random": {"form": "lite"},
    "stylegan_high_frequency": {"form": "lite"},
    "stylegan_sparse": {"form": "lite"},
    "stylegan_oriented": {"form": "lite"},
    "feature_vis_random": {"form": "small", "steps": 2},
    "feature_vis_dead_leaves": {"steps": 2},
    "wmm": {"iterations": 2},
    "spectrum_wmm": {"iterations": 2},
    "spectrum_colour": {"iterations": 2},
    "spectrum_colour_wmm": {"iterations": 2},
    "dead_leaves_textured": {"textures": 3},
}

# What a source is seen through where its samples are images: 24 bands, as SMALL.
FRONTEND = FrontEnd(bands=24)

# Small sizes, used where a source has the field.
SMALL = {"seconds": 0.7, "height": 24, "width": 40, "side": 32, "points": 2000, "categories": 8}


@pytest.fixture(scope="module", params=generators.names())
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function from overriding fields to a small source of the entry under test."""
    name = request.param
    entry = generators.catalogue.get(name)
    known = {field.name for field in dataclasses.fields(entry) if field.init}
    fields = {key: value for key, value in SMALL.items() if key in known}
    fields |= MADE_OF.get(name, {}) | CHEAP.get(name, {})
    if name in DATA:
        fields |= DATA[name](tmp_path_factory.mktemp(name))

    def create(**overrides: Any) -> Source:
        source = generators.create(name, **{**fields, **overrides})
        if source.kind == "image":  # the laws hold for what it is seen as
            source.batch = partial(source.images, frontend=FRONTEND)  # type: ignore[method-assign]
        return source

    return create


few = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
indices = st.integers(min_value=0, max_value=2**40)


def test_the_same_index_gives_the_same_bits_in_any_batch(make: Any) -> None:
    source = make()

    @few
    @given(st.lists(indices, min_size=1, max_size=9), st.data())
    def law(batch: list[int], data: Any) -> None:
        position = data.draw(st.integers(0, len(batch) - 1))
        assert torch.equal(source.batch(batch)[position], source.sample(batch[position]))

    law()


def test_a_permuted_batch_is_the_batch_permuted(make: Any) -> None:
    source, order = make(), torch.randperm(23, generator=torch.Generator().manual_seed(1))
    assert torch.equal(source.batch(order), source.batch(range(23))[order])


def test_two_instances_agree(make: Any) -> None:
    assert torch.equal(make().batch(range(5)), make().batch(range(5)))


def test_samples_are_finite_in_range_and_not_constant(make: Any) -> None:
    source = make()
    batch = source.batch(range(40))
    low, high = {"waveform": (-1.0, 1.0), "picture": (0.0, 1.0), "image": (-50.0, 50.0)}[source.kind]
    assert batch.dtype == torch.float32
    assert torch.isfinite(batch).all()
    assert low <= float(batch.min())
    assert float(batch.max()) <= high
    assert (batch.flatten(1).std(dim=1) > 1e-4).all()


def test_the_shape_is_what_the_fields_say(make: Any) -> None:
    source = make()
    shape = source.batch([4, 0, 9]).shape
    if source.kind == "waveform":
        assert shape == (3, round(source.seconds * source.sample_rate))
    elif source.kind == "picture":
        assert shape == (3, source.height, source.width)
    else:
        assert shape[:2] == (3, source.height)


def test_different_indices_differ(make: Any) -> None:
    batch = make().batch(range(24)).flatten(1)
    assert len(torch.unique(batch, dim=0)) == 24


def test_different_seeds_differ(make: Any) -> None:
    first, second = make(seed=0).batch(range(6)), make(seed=1).batch(range(6))
    assert all(not torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_finite_source_repeats_after_its_size(make: Any) -> None:
    source = make(size=3)
    assert torch.equal(source.batch([0, 1, 2]), source.batch([3, 7, 302]))
    assert source.describe(1) == source.describe(4)


def test_drawn_factors_lie_on_the_cpu_with_the_batch_first(make: Any) -> None:
    for key, value in make().parameters(torch.tensor([5, 6])).items():
        assert value.device.type == "cpu", key
        assert len(value) == 2, key


def test_drawn_factors_do_not_depend_on_the_batch(make: Any) -> None:
    source = make()
    together = source.parameters(torch.arange(11))
    alone = source.parameters(torch.tensor([7]))
    for key, value in together.items():
        assert torch.equal(value[7], alone[key][0]), key


def test_a_description_is_plain_and_repeatable(make: Any) -> None:
    source = make()
    assert json.loads(json.dumps(source.describe(3))) == json.loads(json.dumps(source.describe(3)))
    assert source.describe(3)


def test_the_identity_knows_seed_and_version(make: Any) -> None:
    identity = make(seed=4).identity()
    text = json.dumps(identity, sort_keys=True)
    assert identity["source"] == make().name
    assert identity["version"] == make().version
    assert text == json.dumps(make(seed=4).identity(), sort_keys=True)
    assert text != json.dumps(make(seed=5).identity(), sort_keys=True)


def test_every_source_says_what_it_is(make: Any) -> None:
    assert len(generators.catalogue.entries()[make().name].summary) > 20


def test_every_source_states_its_family_citation_speed_and_needs(make: Any) -> None:
    stated, source = generators.catalogue.entries()[make().name].facts, make()
    for key, allowed in {"kind": Kind, "family": Family, "speed": Speed}.items():
        assert stated[key] in get_args(allowed), key
    assert min(len(stated["citation"]), len(stated["needs"])) > 3
    for key in ("kind", "family", "citation", "speed", "needs"):
        assert stated[key] == getattr(source, key), key


def test_a_misspelt_field_is_answered_with_its_neighbour(make: Any) -> None:
    with pytest.raises(UsageError, match="seed"):
        make(sede=3)
