"""Fine-tuning: the encoder itself is trained on the labels of a fold, by a recipe with a name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from generators.drawer import UsageError
from suite.metrics import METRICS
from suite.probes.base import Examples, Probe, Reads, Sounds
from suite.probes.finetuning import Network, answers, train
from suite.probes.recipes import AUDIO_MAE, AUDIOPG, EAT, OURS, Recipe
from suite.probes.training import joined


@dataclass(kw_only=True)
class FineTune(Probe[Sounds], name="finetune@1"):
    """The whole encoder is trained, 20 epochs; the learning rate is chosen on valid, nested.

    AdamW with layer decay 0.75, a tenth of warm-up and a cosine to zero, drop path, mixup, label
    smoothing, and a fifth of the time and band steps hidden. For each learning rate a network is
    trained for 3 epochs on train; that of the best valid score trains a fresh network for all epochs on
    train and valid together, whose last epoch answers. The test fold is not seen before. Random crops
    of the encoder's length are learnt from; answers are the mean over a clip's crops, one after the
    other. Scores are log-probabilities (log-odds for many labels).
    Source: spec evaluation.md 2.8 (ft@1).
    """

    reads: ClassVar[Reads] = "sounds"
    threshold: ClassVar[float] = 0.0  # log-odds
    recipe: ClassVar[Recipe] = OURS
    _selection: dict[str, Any] = field(init=False, repr=False, default_factory=dict)
    _network: Network = field(init=False, repr=False)

    @property
    def selection(self) -> dict[str, Any]:
        """``learning_rate``, ``epochs``, and where there was a choice ``valid_<metric>``."""
        return dict(self._selection)

    def fit(self, train_part: Examples[Sounds], valid: Examples[Sounds]) -> None:
        """Choose the rate on valid, then train on train and valid."""
        recipe = self.recipe
        architecture = train_part.features.encoder.architecture
        if recipe.reads == "class-token" and not architecture.class_token:
            raise UsageError(
                f"{self.name} reads the class token, but the encoder has none (encoder.class_token="
                "false). Type probes=[finetune@1]."
            )
        rate, self._selection = recipe.rates[0], {}
        if len(recipe.rates) > 1:
            rate = self.chosen(train_part, valid)
        both = Examples(
            joined(train_part.features, valid.features),
            torch.cat([train_part.targets, valid.targets]),
            train_part.classes,
        )
        self.by_epoch = []
        self._network = train(both, recipe, rate, recipe.epochs, self.name, self.watch)
        self._selection |= {"learning_rate": rate, "epochs": recipe.epochs}

    def chosen(self, train_part: Examples[Sounds], valid: Examples[Sounds]) -> float:
        """The rate whose short training on train scores best on valid; the smaller of equals."""
        metric = "macro_map" if train_part.targets.ndim == 2 else "accuracy"
        truth = valid.targets.cpu().numpy()
        scores = []
        for rate in self.recipe.rates:
            network = train(train_part, self.recipe, rate, self.recipe.trial_epochs, self.name)
            scores.append(METRICS[metric](truth, answers(network, valid.features).numpy()))
        best = int(np.argmax(scores))
        self._selection = {f"valid_{metric}": scores[best]}
        return self.recipe.rates[best]

    def watch(self, network: Network) -> None:
        """Keep what the network answers for the watched clips after an epoch."""
        if self.watched is not None:
            self.by_epoch.append(answers(network, self.watched))

    def predict(self, features: Sounds) -> Tensor:
        """Log-probabilities (one label) or log-odds (many) ``(n, classes)`` of n clips."""
        if features is self.watched and self.by_epoch:  # answered after the last epoch
            return self.by_epoch[-1]
        return answers(self._network, features)


@dataclass(kw_only=True)
class FineTuneAudioPG(FineTune, name="finetune-audiopg@1"):
    """AudioPG's published fine-tuning: AdamW 2e-4, 100 epochs, mixup 0.8, CutMix 1.0, patch mean."""

    reads: ClassVar[Reads] = "sounds"
    recipe: ClassVar[Recipe] = AUDIOPG


@dataclass(kw_only=True)
class FineTuneAudioMAE(FineTune, name="finetune-audio-mae@1"):
    """Audio-MAE's published fine-tuning: 50 epochs, layer decay 0.75, drop path, SpecAugment."""

    reads: ClassVar[Reads] = "sounds"
    recipe: ClassVar[Recipe] = AUDIO_MAE


@dataclass(kw_only=True)
class FineTuneEAT(FineTune, name="finetune-eat@1"):
    """EAT's and CAT's published fine-tuning: 120 epochs of 5e-5, 0.4 of the patches hidden."""

    reads: ClassVar[Reads] = "sounds"
    recipe: ClassVar[Recipe] = EAT
