"""Encoders that are not ours: a module with HEAR's calls, found, loaded and held to its promises."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from generators.drawer import BadData, DataMissing, UsageError

CALLS = ("get_scene_embeddings", "get_timestamp_embeddings")
ATTRIBUTES = ("sample_rate", "scene_embedding_size", "timestamp_embedding_size")


@dataclass(frozen=True)
class Foreign:
    """A module with HEAR's calls and the model that it loaded (spec evaluation.md 2.1).

    ``fingerprint`` changes with the module's code and the model's weights.
    """

    where: str  # as typed
    module: ModuleType
    model: Any
    fingerprint: str

    @property
    def name(self) -> str:
        """The module's name without its packages."""
        return self.module.__name__.rpartition(".")[2]

    @property
    def sample_rate(self) -> int:
        return int(self.model.sample_rate)

    @property
    def parameters(self) -> int:
        """Of the model; 0 where it is no torch module."""
        parameters = self.model.parameters() if isinstance(self.model, nn.Module) else ()
        return sum(parameter.numel() for parameter in parameters)

    def scenes(self, waveforms: Tensor) -> Tensor:
        """Scene embeddings ``(B, E)``, float32, of ``(B, samples)`` in [-1, 1] at the model's rate.

        Raises :class:`BadData` where the answer is not what HEAR's calls promise.
        """
        with torch.no_grad():
            said = self.module.get_scene_embeddings(waveforms, self.model)
        return self.kept_promise(said, (len(waveforms), self.model.scene_embedding_size), CALLS[0])

    def timestamps(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings ``(B, T, E)``, float32, and their times ``(B, T)`` in seconds, float64."""
        with torch.no_grad():
            said = self.module.get_timestamp_embeddings(waveforms, self.model)
        if not isinstance(said, tuple) or len(said) != 2:
            raise BadData(f"{self.where}: {CALLS[1]} returned no pair (embeddings, timestamps).")
        vectors, times = said
        if not isinstance(times, Tensor) or times.ndim != 2 or times.shape[0] != len(waveforms):
            raise BadData(
                f"{self.where}: timestamps are not (sounds, steps) for {len(waveforms)} sounds."
            )
        size = (*times.shape, self.model.timestamp_embedding_size)
        return self.kept_promise(vectors, size, CALLS[1]), times.double().cpu() / 1000.0

    def kept_promise(self, said: Any, size: tuple[int, ...], call: str) -> Tensor:
        """The answer of a call as float32 on the CPU, where it has the size that was promised."""
        if not isinstance(said, Tensor) or tuple(said.shape) != size:
            got = tuple(said.shape) if isinstance(said, Tensor) else type(said).__name__
            raise BadData(f"{self.where}: {call} returned {got}, but its model promises {size}.")
        vectors = said.detach().float().cpu()
        if not vectors.isfinite().all():
            raise BadData(
                f"{self.where}: {call} returned NaN or infinity for a sound. `evaluate encoder="
                f"{self.where} tasks=[]` says for which kinds of sound it does so."
            )
        return vectors


def load_foreign(where: str, device: torch.device | str = "cpu") -> Foreign:
    """The encoder typed as ``MODULE[:LOADER][:WEIGHTS]``, on ``device``.

    LOADER is a function of the module that returns the model, ``load_model`` where none is named.
    Raises :class:`UsageError` where there is no such module, or it lacks HEAR's calls or attributes.
    """
    name, *rest = where.split(":", 2)
    if not name:
        raise UsageError("which module? Type encoder=MODULE, for example encoder=suite.hear_naive.")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{where}: there is no module {error.name!r}. Install it, or add its folder to PYTHONPATH."
        ) from error
    except Exception as error:  # whatever is wrong in it
        raise UsageError(
            f"{where}: importing {name} raised {type(error).__name__}: {error}. Mend the module."
        ) from error
    loader = rest.pop(0) if rest and callable(getattr(module, rest[0], None)) else "load_model"
    weights = ":".join(rest)
    missing = [call for call in (loader, *CALLS) if not callable(getattr(module, call, None))]
    if missing:
        raise UsageError(
            f"module {name!r} has no {', '.join(missing)}: it is not a HEAR module. It needs "
            f"load_model, {' and '.join(CALLS)}."
        )
    try:
        model = getattr(module, loader)(*[weights] if weights else [])
    except (UsageError, BadData, DataMissing):  # of a module that is ours
        raise
    except Exception as error:  # whatever it does not find
        raise UsageError(
            f"{where}: {loader}({weights!r}) raised {type(error).__name__}: {error}. Type the weights "
            "as MODULE:WEIGHTS, or MODULE:LOADER:WEIGHTS."
        ) from error
    lacking = [key for key in ATTRIBUTES if not isinstance(getattr(model, key, None), int)]
    if lacking:
        raise UsageError(
            f"the model of {where} has no whole number as {', '.join(lacking)}. HEAR asks a model for "
            f"{', '.join(ATTRIBUTES)}."
        )
    if isinstance(model, nn.Module):
        model.to(device)
    return Foreign(where, module, model, fingerprint(module, model, where))


def fingerprint(module: ModuleType, model: Any, where: str) -> str:
    """SHA-256 of the module's file, the model's tensors by name, and what was typed."""
    digest = hashlib.sha256(where.encode())
    if module.__file__ is not None:
        digest.update(Path(module.__file__).read_bytes())
    tensors = model.state_dict() if isinstance(model, nn.Module) else {}
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
