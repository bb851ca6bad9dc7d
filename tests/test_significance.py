"""The report's statistics against the specification's vectors, scipy and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from suite.report import resampling, significance

FOLD_DIFFERENCES = [0.010, 0.030, -0.005, 0.020, 0.015]  # evaluation specification, Part 5


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (1812, 2000, 0.8924205, 0.9180228),
        (360, 400, 0.8666894, 0.9257007),
        (7698, 8732, 0.8746397, 0.8881946),
        (10674, 11005, 0.9665640, 0.9729535),
    ],
)
def test_wilson_interval_equals_the_specification(
    successes: int, trials: int, low: float, high: float
) -> None:
    found = significance.wilson(successes, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-7)  # seven printed digits


def test_wilson_interval_equals_scipy_and_stays_inside_the_unit_interval() -> None:
    for successes in (0, 1, 7, 20):
        found = significance.wilson(successes, 20)
        expected = stats.binomtest(successes, 20).proportion_ci(method="wilson")
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert 0 <= found.low <= found.high <= 1


def test_wilson_refuses_more_successes_than_trials() -> None:
    with pytest.raises(ValueError, match="successes <= trials"):
        significance.wilson(3, 2)


def test_corrected_t_equals_the_specification() -> None:
    found = significance.corrected_paired_t(FOLD_DIFFERENCES)
    assert found.difference == pytest.approx(0.014)
    assert np.std(FOLD_DIFFERENCES, ddof=1) == pytest.approx(0.0129421791, abs=1e-10)
    assert found.statistic == pytest.approx(1.6125543945, abs=1e-9)
    assert found.p == pytest.approx(0.1821362989, abs=1e-9)
    assert (found.high - found.low) / 2 == pytest.approx(0.0241047568, abs=1e-9)
    naive = stats.ttest_1samp(FOLD_DIFFERENCES, 0)
    assert (naive.statistic, naive.pvalue) == pytest.approx((2.4188315916, 0.0728550561), abs=1e-8)


def test_corrected_t_over_repeats_uses_the_factor_of_repeated_cross_validation() -> None:
    table = np.random.default_rng(0).normal(0.02, 0.01, (3, 5))
    found = significance.corrected_paired_t(table)
    flat = table.ravel()
    expected = flat.mean() / np.sqrt((1 / 15 + 1 / 4) * flat.var(ddof=1))
    assert found.degrees == 14
    assert found.statistic == pytest.approx(expected)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(expected), 14))


@pytest.mark.parametrize("difference", [0.0, 0.1, 1 / 300])
def test_differences_that_do_not_differ_decide_nothing(difference: float) -> None:
    """Two seeds of one test set of 300 clips agree by rounding, and would be infinitely significant."""
    assert significance.corrected_paired_t([difference] * 5) is None
    assert significance.welch_t([difference] * 2, [0.0]) is None
    assert significance.welch_t([0.6 + difference] * 2, [0.6] * 3) is None
    assert significance.t_interval([0.6 + difference] * 3) is None


def test_corrected_t_needs_two_folds() -> None:
    with pytest.raises(ValueError, match="two"):
        significance.corrected_paired_t([[0.1], [0.2]])


def test_k_fold_interval_is_the_corrected_t_interval_and_wider_than_the_naive_one() -> None:
    scores = np.array([0.7, 0.72, 0.69, 0.75, 0.71])
    found = significance.k_fold_interval(scores)
    test = significance.corrected_paired_t(scores)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((test.low, test.high))
    naive = significance.t_interval(scores)
    assert naive is not None
    assert found.low < naive.low < naive.high < found.high
    assert significance.k_fold_interval([0.5]) is None


@pytest.mark.parametrize(("seeds", "quantile"), [(3, 4.303), (5, 2.776), (10, 2.262)])
def test_t_interval_uses_the_quantiles_of_the_specification(seeds: int, quantile: float) -> None:
    values = np.random.default_rng(seeds).normal(size=seeds)
    found = significance.t_interval(values)
    assert found is not None
    half = quantile * values.std(ddof=1) / np.sqrt(seeds)
    assert found.high - values.mean() == pytest.approx(half, rel=2e-4)


def test_one_seed_has_no_interval_over_seeds() -> None:
    assert significance.t_interval([0.5]) is None


def test_welch_equals_scipy() -> None:
    first, second = [0.71, 0.74, 0.69], [0.60, 0.66, 0.64, 0.61]
    found = significance.welch_t(first, second)
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert found is not None
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    interval = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_welch_against_a_single_seed_is_a_one_sample_test() -> None:
    found = significance.welch_t([0.71, 0.74, 0.69], [0.6])
    expected = stats.ttest_1samp([0.71, 0.74, 0.69], 0.6)
    assert found is not None
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert significance.welch_t([0.7], [0.6]) is None


def test_mcnemar_equals_the_specification_and_scipy() -> None:
    assert significance.mcnemar_exact(10, 4) == pytest.approx(0.1795654297, abs=1e-10)
    assert significance.mcnemar_exact(0, 0) == 1.0
    for b, c in itertools.product(range(6), repeat=2):
        if b + c:
            expected = stats.binomtest(b, b + c, 0.5).pvalue
            assert significance.mcnemar_exact(b, c) == pytest.approx(expected)


def test_holm_equals_its_definition() -> None:
    raw = [0.01, 0.04, 0.03, 0.005]
    assert significance.holm(raw) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_raw_p_and_bonferroni(raw: list[float]) -> None:
    adjusted = significance.holm(raw)
    assert np.all(adjusted >= np.array(raw) - 1e-15)
    assert np.all(adjusted <= np.minimum(1, np.array(raw) * len(raw)) + 1e-15)
    order = np.argsort(raw, kind="stable")
    assert np.all(np.diff(adjusted[order]) >= 0)


def test_holm_does_not_count_what_could_not_be_tested() -> None:
    adjusted = significance.holm([0.01, np.nan, 0.03])
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.03])
    assert np.isnan(adjusted[1])


@pytest.mark.parametrize("models", [2, 3, 5, 10, 20])
def test_nemenyi_table_equals_the_studentised_range(models: int) -> None:
    expected = stats.studentized_range.ppf(0.95, models, np.inf) / np.sqrt(2)
    assert significance.NEMENYI_Q05[models - 2] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("tasks", "models", "distance"),
    [
        *((8, 5, 2.157), (8, 10, 4.790), (14, 5, 1.630), (14, 10, 3.621)),
        *((19, 5, 1.399), (19, 10, 3.108), (20, 5, 1.364), (20, 10, 3.029)),
    ],
)
def test_nemenyi_distance_equals_the_specification(tasks: int, models: int, distance: float) -> None:
    assert significance.nemenyi_distance(models, tasks) == pytest.approx(distance, abs=6e-4)


def test_nemenyi_beyond_its_table_is_refused() -> None:
    with pytest.raises(ValueError, match="2 to 20"):
        significance.nemenyi_distance(21, 8)


def test_friedman_and_wilcoxon_equal_scipy() -> None:
    scores = np.random.default_rng(1).random((8, 4))
    expected = stats.friedmanchisquare(*scores.T)
    assert significance.friedman(scores) == pytest.approx((expected.statistic, expected.pvalue))
    assert significance.friedman(np.ones((3, 3))) == (0.0, 1.0)
    signed = stats.wilcoxon(scores[:, 0], scores[:, 1]).pvalue
    assert significance.wilcoxon(scores[:, 0], scores[:, 1]) == pytest.approx(signed)
    assert significance.wilcoxon([1, 2], [1, 2]) == 1.0


def test_borda_counts_a_missing_task_as_nothing_and_shares_ties() -> None:
    points = significance.borda([[0.9, 0.8, None], [0.5, 0.5, 0.7]])
    assert points == pytest.approx([(3 - 1) + (3 - 2.5), (3 - 2) + (3 - 2.5), 3 - 1])


def test_draws_hold_as_many_clusters_as_there_are_and_are_the_same_twice() -> None:
    counts = resampling.draw_counts(13, 500, 7)
    assert counts.shape == (500, 13)
    assert np.all(counts.sum(axis=1) == 13)
    resampling.draw_counts.cache_clear()
    assert np.array_equal(counts, resampling.draw_counts(13, 500, 7))
    assert not np.array_equal(counts, resampling.draw_counts(13, 500, 8))


def test_bootstrap_of_clusters_equals_resampling_clips_by_hand() -> None:
    generator = np.random.default_rng(3)
    correct = generator.integers(0, 2, (40, 2)).astype(float)
    group = np.array([f"g{i}" for i in generator.integers(0, 9, 40)])
    fold = np.where(np.arange(40) < 25, "1", "2")
    found = resampling.bootstrap_means(correct, group, fold, draws=50, seed=5)
    names = np.unique(group)
    counts = resampling.draw_counts(len(names), 50, 5)
    weight = np.where(fold == "1", 1 / 25, 1 / 15)
    for draw in range(50):
        rows = np.concatenate(
            [
                np.flatnonzero(group == name)
                for name, n in zip(names, counts[draw], strict=True)
                for _ in range(n)
            ]
        )
        expected = (correct[rows] * weight[rows, None]).sum(axis=0) / weight[rows].sum()
        assert found[draw] == pytest.approx(expected, abs=1e-9)


def test_bootstrap_of_one_fold_of_single_clips_has_the_width_of_the_binomial() -> None:
    correct = (np.arange(400) < 360).astype(float)
    group = np.array([str(i) for i in range(400)])
    replicates = resampling.bootstrap_means(correct, group, np.full(400, "test"))[:, 0]
    assert replicates.mean() == pytest.approx(0.9, abs=1e-3)
    assert replicates.std() == pytest.approx(np.sqrt(0.9 * 0.1 / 400), rel=0.05)
    found, wilson = resampling.percentile_interval(replicates), significance.wilson(360, 400)
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=0.006)


def test_clips_of_one_recording_widen_the_interval() -> None:
    correct = np.repeat(np.random.default_rng(0).integers(0, 2, 50), 8).astype(float)
    fold = np.full(400, "test")
    alone = resampling.bootstrap_means(correct, np.array([str(i) for i in range(400)]), fold)
    together = resampling.bootstrap_means(correct, np.array([str(i // 8) for i in range(400)]), fold)
    assert together.std() > 2 * alone.std()


def test_folds_of_a_single_speaker_keep_the_variance_between_speakers() -> None:
    correct = np.repeat([0.0, 0.0, 1.0, 1.0, 1.0, 0.0], 20)
    speaker = np.repeat([f"s{i}" for i in range(6)], 20)
    replicates = resampling.bootstrap_means(correct, speaker, speaker)
    assert replicates.std() == pytest.approx(np.sqrt(0.25 / 6), rel=0.05)


def test_a_recomputed_metric_agrees_with_the_fast_path_for_accuracy() -> None:
    generator = np.random.default_rng(2)
    target = generator.integers(0, 3, 60)
    scores = [generator.random((60, 3)) for _ in range(2)]
    group = np.array([str(i // 2) for i in range(60)])
    fold = np.full(60, "test")

    def accuracy(t: np.ndarray, s: np.ndarray) -> float:
        return float((s.argmax(axis=1) == t).mean())

    slow = resampling.bootstrap_metric(accuracy, target, scores, group, fold, draws=40, seed=1)
    correct = np.mean([s.argmax(axis=1) == target for s in scores], axis=0)
    fast = resampling.bootstrap_means(correct, group, fold, draws=40, seed=1)[:, 0]
    assert slow == pytest.approx(fast, abs=1e-9)


def test_bootstrap_p_is_one_for_equal_models_and_small_for_different_ones() -> None:
    assert resampling.bootstrap_p(np.zeros(100), 99) == 1.0
    assert resampling.bootstrap_p(np.full(9999, 0.1), 99) == pytest.approx(2 / 10_000)
    assert resampling.bootstrap_p(np.full(9999, -0.1), 99) == pytest.approx(2 / 10_000)


def test_bootstrap_p_beyond_its_draws_is_the_normal_tail() -> None:
    drawn = np.random.default_rng(3).normal(0.0, 0.01, 10_000)
    tail = 2 * stats.norm.sf((drawn.mean() + 0.1) / drawn.std(ddof=1))
    assert 0 < resampling.bootstrap_p(drawn + 0.1, 999) == pytest.approx(tail, rel=1e-3, abs=0)
    near = drawn + 0.025  # some draws reach zero: they are counted
    assert resampling.bootstrap_p(near, 999) == 2 * (1 + int((near <= 0).sum())) / 10_001


def test_two_speakers_who_agree_prove_nothing() -> None:
    speaker = np.repeat(["one", "other"], 100)
    better = np.random.default_rng(4).random((200, 1)) < [[0.9, 0.5]]
    replicates = resampling.bootstrap_means(better.astype(float), speaker, np.full(200, "test"))
    differences = replicates[:, 0] - replicates[:, 1]
    assert (differences > 0).all()  # whichever speaker is drawn
    assert resampling.bootstrap_p(differences, 2) == 0.5
    assert resampling.bootstrap_p(differences, 11) < 0.002


def test_bootstrap_p_of_equal_models_is_rarely_small() -> None:
    generator = np.random.default_rng(11)
    group = np.array([str(i) for i in range(200)])
    fold = np.full(200, "test")
    small = 0
    for _ in range(200):
        correct = (generator.random((200, 2)) < 0.7).astype(float)
        replicates = resampling.bootstrap_means(correct, group, fold, draws=500)
        small += resampling.bootstrap_p(replicates[:, 0] - replicates[:, 1], 999) < 0.05
    assert 2 <= small <= 22  # 5 % of 200 is 10, three standard deviations are 9


def test_rank_intervals_name_a_model_that_always_wins() -> None:
    scores = np.array([[0.9, 0.5, 0.4], [0.8, 0.3, 0.6], [0.7, 0.6, 0.5], [0.9, 0.2, 0.4]])
    first, second, third = resampling.rank_intervals(scores, draws=2000)
    assert (first.mean, first.low, first.high, first.best) == (1.0, 1.0, 1.0, 1.0)
    assert (second.mean, third.mean) == (2.5, 2.5)
    assert (second.low, second.high) == (2.0, 3.0)
    assert second.best == third.best == 0.0


@given(arrays(np.float64, (5, 4), elements=st.floats(0, 1)))
def test_p_best_sums_to_one(scores: np.ndarray) -> None:
    assert sum(found.best for found in resampling.rank_intervals(scores, draws=50)) == pytest.approx(1)
