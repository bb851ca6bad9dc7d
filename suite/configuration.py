"""From the words a user types to an experiment: Hydra composes them, every value is checked."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from generators.drawer import UsageError, conforms, neighbours
from suite import drawers, recipe, registry
from suite.drawers import CONTROLS
from suite.encoder import Architecture
from suite.experiment import Experiment, Scale
from suite.frontend import FrontEnd
from suite.objectives.base import DecoderSize
from suite.optimiser import Training
from suite.values import typed

PRESETS = ("scale", "frontend", "comparison")


def configure(overrides: list[str]) -> DictConfig:
    """Compose the configuration of ``key=value`` words; raises :class:`UsageError` with the cure."""
    choices: dict[str, str] = {}
    overrides = recipe.spelt_out(overrides)
    for word in overrides:
        key, separator, value = word.partition("=")
        if not separator:
            raise UsageError(
                f"{word!r} is not of the form key=value. Type for example source=dead_leaves."
            )
        if key in registry.GROUPS:
            registry.GROUPS[key].get(value)
        if key in PRESETS:
            known = list(drawers.presets(key))
            if value not in known:
                raise UsageError(f"unknown {key} {value!r}.{neighbours(value, known)}")
        if key in registry.GROUPS or key in PRESETS:
            choices[key] = word
    entries = {key: word.partition("=")[2] for key, word in choices.items()}
    registry.register({key: name for key, name in entries.items() if key in registry.GROUPS})
    chosen = composed(tuple(choices.values()))
    parts = [word for word in overrides if registry.holds_parts(chosen, word.partition("=")[0])]
    for word in overrides:
        if word not in choices.values() and word not in parts:
            registry.check_key(chosen, word.partition("=")[0])
    with hydra_home():
        try:
            config = compose("config", overrides=[word for word in overrides if word not in parts])
            registry.set_parts(config, parts)
            registry.check_running(plain_config(config))
        except (HydraException, OmegaConfBaseException) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"cannot understand {shlex.join(overrides)}: {reason}. A list item with a space or = "
                "needs quotes of its own: \"comparison.sources=['noise source.colour=pink']\"."
            ) from error
    return config


@functools.lru_cache(maxsize=64)
def composed(choices: tuple[str, ...]) -> DictConfig:
    """The configuration of chosen entries and presets alone, to look keys up in; not to be changed.

    It is kept, since the cells of a grid and the trials of a study choose the same again and again.
    """
    with hydra_home():
        return compose("config", overrides=list(choices))


@contextmanager
def hydra_home() -> Iterator[None]:
    """Hydra looks into ``suite/conf``."""
    GlobalHydra.instance().clear()
    with initialize_config_module("suite.conf", version_base="1.3"):
        yield


def experiment_of(config: DictConfig) -> Experiment:
    """The experiment that a configuration describes; every value is checked for its type."""
    plain = plain_config(config)
    for group in registry.GROUPS:
        for key, value in plain[group].items():
            if value == "???":
                raise UsageError(
                    f"{group} {plain[group]['name']!r} needs {group}.{key}=... Type it after the verb."
                )
    if plain["control"] is not None and plain["control"] not in CONTROLS:
        raise UsageError(
            f"unknown control {plain['control']!r}.{neighbours(plain['control'], list(CONTROLS))}"
        )
    scale = dict(plain["scale"])
    scale["decoder"] = typed(DecoderSize, scale["decoder"], "scale.decoder")
    experiment = Experiment(
        control=plain["control"],
        **{group: registry.normalised(group, plain[group]) for group in registry.GROUPS},
        scale=typed(Scale, scale, "scale"),
        encoder=architecture_of(plain),
        frontend=typed(FrontEnd, plain["frontend"], "frontend"),
        training=typed(Training, plain["training"], "training"),
        pool=plain["pool"],
        seed=plain["seed"],
    )
    if not conforms(experiment.seed, int):
        raise UsageError(f"seed={experiment.seed!r} is not a whole number.")
    pool = experiment.pool
    if not conforms(pool, int | None) or (pool is not None and pool < 1):
        raise UsageError(f"pool={pool!r}: expected a positive number of samples, or null.")
    check_scale(experiment.scale)
    check_training(experiment.training)
    if experiment.control == "untrained" and experiment.frontend.statistics == "source":
        raise UsageError(
            "control=untrained has no source to take statistics from. Type frontend.statistics=task."
        )
    return experiment


def architecture_of(plain: dict[str, Any]) -> Architecture:
    """The keys of ``encoder``; ``auto`` is what the objective's paper has, or MAE's."""
    published = registry.GROUPS["objective"].get(plain["objective"]["name"]).architecture
    typed_in = {key: value for key, value in plain["encoder"].items() if value != "auto"}
    architecture: Architecture = typed(Architecture, {**published, **typed_in}, "encoder")
    return architecture


def plain_config(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain values."""
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def check_scale(scale: Scale) -> None:
    """Refuse sizes no encoder or run can have."""
    for key in ("width", "depth", "heads", "batch", "samples_seen"):
        if getattr(scale, key) < 1:
            raise UsageError(f"scale.{key}={getattr(scale, key)} must be at least 1.")
    if scale.samples_seen < scale.batch:
        raise UsageError(
            f"scale.samples_seen={scale.samples_seen} is less than one batch of {scale.batch}. "
            "Lower scale.batch or raise scale.samples_seen."
        )
    if scale.learning_rate <= 0:
        raise UsageError(f"scale.learning_rate={scale.learning_rate} must be positive.")


def check_training(training: Training) -> None:
    """Refuse settings no optimiser has a meaning for."""
    if not 0.0 <= training.warmup < 1.0:
        raise UsageError(f"training.warmup={training.warmup}: expected a share of the steps, 0 to 1.")
    if training.weight_decay < 0:
        raise UsageError(f"training.weight_decay={training.weight_decay} must not be negative.")
    if training.clip_norm is not None and training.clip_norm <= 0:
        raise UsageError(
            f"training.clip_norm={training.clip_norm} must be positive; null clips nothing."
        )
