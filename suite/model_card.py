"""A model card of a run: what it is, how it was made, and every score that was measured of it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from suite import checkpoint
from suite.experiment import Experiment
from suite.rows import Row, read_rows, task_label

CARD = """---
library_name: sourcebench
tags: [audio, self-supervised, masked-autoencoder]
---

# {run_id}

An audio encoder pre-trained by sourcebench on **{source}**, with {objective} behind {masking} masks:
{samples} samples seen, {parameters:.1f} million parameters, scale {scale}, seed {seed}.

```python
import torch, suite  # pip install sourcebench

model = suite.load("this/folder")
audio = torch.zeros(1, 5 * model.sample_rate)  # (sounds, samples), float32 in [-1, 1]
scene = model.scenes(audio)                    # (sounds, E)
steps, milliseconds = model.timestamps(audio)  # (sounds, T, E), (sounds, T)
```

It is also a HEAR module: `hear-validator suite.hear_api --model this/folder`.

Made by: `{command}`

## Scores

Frozen embeddings, official folds. A score without its protocol is not a result: probes are versioned.

{scores}
"""


def model_card(run: Path, experiment: Experiment) -> str:
    """The card as Markdown, its scores from the run's rows."""
    _, command = checkpoint.read_experiment(run)
    cost = checkpoint.read_cost(run)
    path = run / "rows.jsonl"
    rows = read_rows(path) if path.exists() else []
    return CARD.format(
        run_id=experiment.run_id,
        source=experiment.label,
        objective=experiment.objective["name"],
        masking="no" if experiment.control else experiment.masking["name"],
        samples=f"{cost.samples_seen:,}",
        parameters=cost.parameters / 1e6,
        scale=experiment.scale.name,
        seed=experiment.seed,
        command=command,
        scores=scores([row for row in rows if row.samples_seen == cost.samples_seen]),
    )


def scores(rows: list[Row]) -> str:
    """A table of the mean over folds of every question; a sentence where nothing was measured."""
    if not rows:
        return "None were measured yet: `sourcebench evaluate run=RUN`, then export again."
    asked: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        asked[task_label(row.task, partial=row.partial), row.probe_label, row.metric].append(row)
    lines = ["| task | probe | metric | score (%) | folds | clips |", "|---|---|---|---|---|---|"]
    for (task, probe, metric), members in sorted(asked.items()):
        mean = 100 * sum(row.score for row in members) / len(members)
        clips = sum(row.n_test for row in members)
        lines.append(f"| {task} | {probe} | {metric} | {mean:.1f} | {len(members)} | {clips} |")
    notes = sorted({note for row in rows for note in row.notes})
    return "\n".join([*lines, *(f"\n- {note}" for note in notes)])
