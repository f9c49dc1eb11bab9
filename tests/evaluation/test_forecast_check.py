"""The forecast against runs whose distance from p^α is known exactly."""

import numpy as np
import pandas as pd
import pytest

from lib.evaluation import forecast_check
from lib.storage.folders import ROOT
from lib.theory import distributions, sequences
from tests.evaluation.test_forecast import population

ALPHA = 2.0


def run(questions, policies):
    """A summary row of a `tempered` run that samples from `policies`, log-probabilities of every completion of each question."""
    rows = []
    for q, log_pi in zip(questions, policies):
        found = list(sequences.completions(q, 8))
        log_p, pi = np.array([c.log_p for c in found]), np.exp(log_pi)
        rows.append([pi @ [c.reward for c in found], pi @ log_p, pi @ np.where(pi > 0, log_pi, 0)])
    accuracy, reference, policy = np.mean(rows, axis=0)
    columns = {"alpha": ALPHA, "seed": 0, "accuracy_sampled": accuracy}
    return pd.DataFrame([columns | {"reference_logprob": reference, "policy_logprob": policy}])


def test_a_run_that_arrived_has_nothing_left_and_the_base_has_its_kl():
    """p^α itself is inside with KL 0; the base is KL(p‖p^α) away, by enumeration."""
    questions, drawn = population(0, 40, 2_000)
    log_p = [np.array([c.log_p for c in sequences.completions(q, 8)]) for q in questions]
    base = [distributions.normalise(values) for values in log_p]
    optimum = [distributions.normalise(ALPHA * values) for values in log_p]
    (arrived,) = forecast_check.against_trained(drawn, run(questions, optimum)).to_dict("records")
    assert arrived["inside"] and arrived["kl_left"] == pytest.approx(0, abs=0.02) and arrived["may_miss"] < 0.1
    (started,) = forecast_check.against_trained(drawn, run(questions, base)).to_dict("records")
    exact = np.mean([distributions.kl(p, q) for p, q in zip(base, optimum)])
    assert started["kl_left"] == pytest.approx(exact, abs=0.02) and exact > 0.1
    assert arrived["kl_start"] == started["kl_start"] == pytest.approx(exact, abs=0.02)
    assert started["may_miss"] == pytest.approx(np.sqrt(exact / 2), abs=0.02)
    assert started["trained"] == pytest.approx(drawn.correct.mean(), abs=0.02)


def test_groups_tell_a_run_that_follows_each_question_from_one_that_answers_all_alike():
    questions, drawn = population(0, 300, 64)
    exact = np.array([sequences.Sharpened(q, ALPHA, 8).moments().accuracy for q in questions])
    follows = forecast_check.by_group(drawn, ALPHA, exact)
    assert follows["forecast"].to_numpy() == pytest.approx(follows["trained"].to_numpy(), abs=0.04)
    assert follows["forecast"].is_monotonic_increasing and np.ptp(follows["forecast"]) > 0.5
    alike = forecast_check.by_group(drawn, ALPHA, np.full(300, exact.mean()))
    assert np.ptp(alike["trained"]) < 1e-9 and (alike["forecast"] == follows["forecast"]).all()
    assert follows["base"].mean() == pytest.approx(drawn.correct.mean())


def test_grouping_needs_four_samples():
    _, drawn = population(0, 10, 3)
    with pytest.raises(ValueError, match="4 or more samples"):
        forecast_check.by_group(drawn, ALPHA, np.zeros(10))


def test_the_page_has_the_committed_numbers():
    """Of the two tables that `make reproduce PROFILE=forecast` left."""
    page, folder = (ROOT / "docs" / "forecast.md").read_text(encoding="utf-8"), ROOT / "data" / "results" / "forecast"
    for base in ("one_wording", "many_wordings"):
        table = pd.read_csv(folder / f"forecast_check_{base}.csv")
        assert len(table) == 3
        for r in table.itertuples():
            said = f"| {base} | {r.alpha:g} | {r.forecast:.1%} ({r.low:.1%} to {r.high:.1%}) | {r.trained:.1%} | "
            assert f"{said}{r.kl_left:.3f} of {r.kl_start:.3f} nats |" in page
