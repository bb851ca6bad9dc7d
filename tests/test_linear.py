"""The linear probe against scikit-learn's logistic regression, and what it says when it fails."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from generators.drawer import BadData
from suite import probes
from suite.probes import linear, logistic
from suite.probes.base import Examples

WEAK_TO_STRONG = (1e-3, 1e-1, 10.0, 1e3)


def problem(n: int, D: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlapping classes in correlated features of unequal scale: ``(n, D)`` and labels ``(n,)``."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(D, D, generator=generator) * torch.logspace(0.5, -1.0, D)
    labels = torch.arange(n) % classes
    centres = torch.randn(classes, D, generator=generator)
    features = (centres[labels] + 1.5 * torch.randn(n, D, generator=generator)) @ mixing / D**0.5
    return features.double() + 0.5, labels


@pytest.mark.parametrize("D", [20, 260])  # fewer and more features than clips
def test_the_path_agrees_with_scikit_learn_at_every_strength(D: int) -> None:
    features, labels = problem(150, D, 5)
    solutions = logistic.path(
        features,
        F.one_hot(labels).double(),
        exclusive=True,
        grid=WEAK_TO_STRONG,
        tolerance=1e-9,
        iterations=5000,
        dtype=torch.float64,
    )
    for solution in solutions:
        assert solution.converged
        model = LogisticRegression(C=solution.C, tol=1e-10, max_iter=100_000)
        model.fit(features.numpy(), labels.numpy())
        ours = solution.logits(features).softmax(dim=1).numpy()
        np.testing.assert_allclose(ours, model.predict_proba(features.numpy()), atol=1e-5)
        np.testing.assert_allclose(solution.weights.T.numpy(), model.coef_, atol=1e-3 * solution.C**0.5)


def test_many_labels_agree_with_one_regression_per_class() -> None:
    features, _ = problem(150, 20, 5)
    targets = (features[:, :4] + features[:, 4:8] > 1.0).double()
    for solution in logistic.path(
        features,
        targets,
        exclusive=False,
        grid=WEAK_TO_STRONG,
        tolerance=1e-9,
        iterations=5000,
        dtype=torch.float64,
    ):
        ours = solution.logits(features).sigmoid().numpy()
        for column in range(4):
            model = LogisticRegression(C=solution.C, tol=1e-10, max_iter=100_000)
            model.fit(features.numpy(), targets[:, column].numpy())
            np.testing.assert_allclose(
                ours[:, column], model.predict_proba(features.numpy())[:, 1], atol=1e-5
            )


@pytest.mark.parametrize("D", [20, 260])
def test_the_defaults_come_close_enough_to_the_optimum(D: int) -> None:
    features, labels = problem(150, D, 5)
    targets = F.one_hot(labels).double()
    rough = logistic.path(features, targets, exclusive=True, grid=linear.GRID)
    exact = logistic.path(
        features,
        targets,
        exclusive=True,
        grid=linear.GRID,
        tolerance=1e-9,
        iterations=9000,
        dtype=torch.float64,
    )
    for near, true in zip(rough, exact, strict=True):
        assert near.converged
        assert true.converged
        probabilities = (near.logits(features).softmax(1), true.logits(features).softmax(1))
        difference = (probabilities[0] - probabilities[1]).abs().max()
        assert difference < 0.01, near.C


def test_the_path_changes_the_way_and_not_the_end() -> None:
    features, labels = problem(150, 20, 5)
    solve = functools.partial(
        logistic.path,
        features,
        F.one_hot(labels).double(),
        exclusive=True,
        tolerance=1e-8,
        dtype=torch.float64,
        iterations=5000,
    )
    (cold,) = solve(grid=[1.0])
    _, warm = solve(grid=[0.5, 1.0])
    assert warm.iterations < cold.iterations
    torch.testing.assert_close(warm.weights, cold.weights, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(warm.intercept, cold.intercept, rtol=1e-4, atol=1e-5)


def split(seed: int, *, classes: int = 5) -> tuple[Examples, Examples, torch.Tensor]:
    features, labels = problem(300, 20, classes, seed)
    features = features.float()
    train = Examples(features[:150], labels[:150], classes)
    valid = Examples(features[150:225], labels[150:225], classes)
    return train, valid, features[225:]


def test_the_probe_answers_as_scikit_learn_refitted_on_train_and_valid() -> None:
    train, valid, test = split(1)
    probe = probes.create("linear@1")
    probe.fit(train, valid)
    mean, deviation = train.features.mean(0), train.features.std(0, correction=0)

    def standardised(features: torch.Tensor) -> np.ndarray:
        return np.asarray((features - mean) / deviation)

    valid_scores = {}
    for C in linear.GRID:
        model = LogisticRegression(C=C, tol=1e-8, max_iter=100_000)
        model.fit(standardised(train.features), train.targets)
        valid_scores[C] = model.score(standardised(valid.features), valid.targets)
    chosen = probe.selection["C"]
    best = max(valid_scores.values())
    assert valid_scores[chosen] >= best - 1.5 / 75  # one borderline clip may fall the other way
    both = torch.cat([train.features, valid.features])
    model = LogisticRegression(C=chosen, tol=1e-8, max_iter=100_000)
    model.fit(standardised(both), torch.cat([train.targets, valid.targets]))
    ours = probe.predict(test).exp().numpy()
    np.testing.assert_allclose(ours, model.predict_proba(standardised(test)), atol=1e-2)


def test_a_separable_fold_with_more_features_than_clips_is_refitted_as_it_was_chosen() -> None:
    # A refit that starts at the chosen weights, not at the strong end of the path, once answered here
    # with chance accuracy: at a weak penalty the solution stays near where it started.
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(300) % 10
    features = torch.eye(10)[labels] @ torch.randn(10, 400, generator=generator)
    features = features + 4.0 * torch.randn(300, 400, generator=generator)
    probe = probes.create("linear@1")
    probe.fit(
        Examples(features[:150], labels[:150], 10), Examples(features[150:200], labels[150:200], 10)
    )
    answers = probe.predict(features[200:]).argmax(dim=1)
    accuracy = float((answers == labels[200:]).float().mean())
    assert accuracy >= probe.selection["valid_accuracy"] - 0.1


def test_ties_go_to_the_smaller_c() -> None:
    centres = 20.0 * torch.eye(4, 8)
    labels = torch.arange(80) % 4
    features = centres[labels] + torch.randn(80, 8, generator=torch.Generator().manual_seed(0))
    probe = probes.create("linear@1")
    probe.fit(Examples(features[:40], labels[:40], 4), Examples(features[40:], labels[40:], 4))
    assert probe.selection["valid_accuracy"] == 1.0
    assert probe.selection["C"] == linear.GRID[0]


def test_what_did_not_converge_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    train, valid, _ = split(2)
    probe = probes.create("linear@1")
    probe.fit(train, valid)
    assert probe.selection["unconverged"] == []
    monkeypatch.setattr(linear, "path", functools.partial(logistic.path, iterations=2))
    probe.fit(train, valid)
    assert 1e3 in probe.selection["unconverged"]


def test_a_label_that_every_clip_has_scores_highest_and_one_that_none_has_lowest() -> None:
    train, valid, test = split(3)
    scores = []
    for examples in (train, valid):
        targets = F.one_hot(examples.targets, 5).float()
        targets[:, 3], targets[:, 4] = 1.0, 0.0
        scores.append(Examples(examples.features, targets, 5))
    probe = probes.create("linear@1")
    probe.fit(*scores)
    assert "valid_macro_map" in probe.selection
    answer = probe.predict(test)
    assert (answer[:, 3] == linear.FLOOR).all()
    assert (answer[:, 4] == -linear.FLOOR).all()
    assert (answer[:, :3].abs() < linear.FLOOR).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused(value: float) -> None:
    train, valid, _ = split(4)
    valid.features[3, 2] = value
    with pytest.raises(BadData, match=r"valid features.*NaN or infinity"):
        probes.create("linear@1").fit(train, valid)
