"""A run on disk: its experiment, its weights, its state to resume from, and the encoder it gives."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml
from torch import Tensor

from generators.drawer import BadData, DataMissing
from suite.encoder import Encoder
from suite.frontend import FrontEnd
from suite.rows import write_atomically

# runs/<run_id>/
EXPERIMENT = "experiment.yaml"  # first line: the command
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
STATE = "checkpoint/state.pt"  # everything needed to go on; deleted when the run is done
WEIGHTS = "checkpoint/weights.safetensors"
FRONTEND = "checkpoint/frontend.json"
CURVE = "curve"  # curve/<samples_seen>/weights.safetensors: encoders on the way
DONE = "DONE"  # written last: the run's cost


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What pre-training took."""

    steps: int = 0
    samples_seen: int = 0
    parameters: int = 0  # of the encoder
    flops: float = 0.0
    seconds: float = 0.0  # wall time of all sittings of the run, pools included
    # of the last sitting; samples are made in a thread of their own, beside the training
    training_seconds: float = 0.0
    waited_seconds: float = 0.0  # the training, for samples
    generation_seconds: float = 0.0
    frontend_seconds: float = 0.0
    peak_memory: int = 0
    device: str = ""


def write_json(path: Path, values: Any) -> None:
    """Write ``values`` as JSON, complete when renamed into place."""
    write_atomically(path, json.dumps(values, indent=1, sort_keys=True).encode())


def read_json(path: Path) -> Any:
    """JSON of a file of a run; raises :class:`BadData` naming it where it is malformed."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadData(
            f"{path} is not JSON ({error}). Delete the run's folder and repeat it."
        ) from error


def write_experiment(run: Path, experiment: dict[str, Any], command: str) -> None:
    """experiment.yaml, headed by the command that made the run."""
    text = f"# {command}\n{yaml.safe_dump(experiment, sort_keys=False)}"
    write_atomically(run / EXPERIMENT, text.encode())


def read_experiment(run: Path) -> tuple[dict[str, Any], str]:
    """The experiment of a run as plain values, and the command that made it."""
    path = run / EXPERIMENT
    if not path.exists():
        raise DataMissing(f"{run} is not a run (no {EXPERIMENT}). `sourcebench list runs` names them.")
    text = path.read_text(encoding="utf-8")
    return yaml.safe_load(text), text.splitlines()[0].removeprefix("# ")


def save_state(run: Path, state: dict[str, Any]) -> None:
    """Everything needed to go on, in one file that is either the old or the new one."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(run / STATE, buffer.getvalue())


def load_state(run: Path) -> dict[str, Any] | None:
    """The last saved state, or None where the run has to begin."""
    path = run / STATE
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise BadData(f"{path} cannot be read ({reason}). Delete it to begin again.") from error
    return state


def save_weights(path: Path, state: dict[str, Tensor]) -> None:
    """Weights as safetensors, complete when renamed into place."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    write_atomically(path, safetensors.torch.save(plain))


def finish(run: Path, cost: Cost) -> None:
    """Declare the run complete and drop the state that only served to go on."""
    write_json(run / DONE, dataclasses.asdict(cost))
    (run / STATE).unlink(missing_ok=True)


def read_cost(run: Path) -> Cost:
    """What the run took; raises :class:`DataMissing` where it is not finished."""
    if not (run / DONE).exists():
        raise DataMissing(f"the run {run} is not finished. Type its command again to go on.")
    return Cost(**read_json(run / DONE))


@dataclass(frozen=True)
class Trained:
    """An encoder with the front-end it was trained behind."""

    encoder: Encoder | None  # None: log-mel statistics, no network
    frontend: FrontEnd
    fingerprint: str  # changes with anything that changes an embedding

    @property
    def sample_rate(self) -> int:
        """Of the sounds it hears, in hertz."""
        return self.frontend.sample_rate


def points(run: Path) -> list[int]:
    """Samples seen of the weights kept on the way, ascending."""
    return sorted(int(path.parent.name) for path in (run / CURVE).glob("*/*.safetensors"))


def read_weights(run: Path, samples_seen: int | None = None) -> dict[str, Tensor]:
    """A run's weights, of the encoder and of all that was trained with it.

    ``samples_seen`` picks those of the learning curve. Raises :class:`DataMissing` or :class:`BadData`.
    """
    path = (
        run / WEIGHTS
        if samples_seen is None
        else run / CURVE / str(samples_seen) / "weights.safetensors"
    )
    if not path.exists():
        raise DataMissing(f"no weights at {path}. Pre-train first: `sourcebench pretrain ...`.")
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise BadData(f"{path} cannot be read ({error}). Delete the run and repeat it.") from error


def load_encoder(run: Path, fresh: Encoder, samples_seen: int | None = None) -> Trained:
    """Load a run's weights into ``fresh``; ``samples_seen`` picks an encoder of the learning curve."""
    weights = read_weights(run, samples_seen)
    prefix = "encoder."
    fresh.load_state_dict(
        {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    )
    frontend = FrontEnd(**read_json(run / FRONTEND))
    return Trained(fresh.eval().requires_grad_(False), frontend, fingerprint(weights))


def fingerprint(weights: dict[str, Tensor]) -> str:
    """SHA-256 of the encoder's weights, by name and value."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        if name.startswith("encoder."):
            digest.update(name.encode())
            digest.update(weights[name].contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_finite(what: str, value: float, step: int, run: Path) -> None:
    """Stop at the first value that is no number, naming the cure and the last good checkpoint."""
    if not math.isfinite(value):
        saved = "none yet" if not (run / STATE).exists() else str(run / STATE)
        raise BadData(
            f"the {what} became {value} at step {step}. Lower scale.learning_rate (halve it), keep "
            f"training.clip_norm=1.0, or set training.precision=float32. Last good checkpoint: {saved}."
        )
