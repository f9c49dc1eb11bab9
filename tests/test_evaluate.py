"""Estimators against enumeration of every subset, and a table summed by hand."""

import dataclasses
from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import evaluate, runs


def brute_force_majority(answers, gold, k) -> float:
    """The mean over every subset of k answers of: gold wins, a tie shared evenly, None never a vote."""
    wins = []
    for subset in combinations(answers, k):
        counts = Counter(a for a in subset if a is not None)
        top = max(counts.values(), default=0)
        winners = [a for a, n in counts.items() if n == top]
        wins.append(1 / len(winners) if gold in winners else 0.0)
    return float(np.mean(wins))


@given(
    st.integers(1, 8).flatmap(lambda n: st.tuples(st.lists(st.booleans(), min_size=n, max_size=n), st.integers(1, n)))
)
def test_pass_at_k_is_the_mean_over_subsets(case):
    correct, k = case
    expected = np.mean([any(subset) for subset in combinations(correct, k)])
    assert evaluate.pass_at_k(len(correct), sum(correct), k) == pytest.approx(expected, abs=1e-12)


@given(
    st.integers(1, 8).flatmap(
        lambda n: st.tuples(
            st.lists(st.sampled_from(["7", "8", "9", "10", None]), min_size=n, max_size=n), st.integers(1, n)
        )
    )
)
def test_maj_at_k_is_the_mean_over_subsets(case):
    answers, k = case
    assert evaluate.maj_at_k(answers, "7", k) == pytest.approx(brute_force_majority(answers, "7", k), abs=1e-12)


def test_by_hand():
    assert evaluate.pass_at_k(4, 1, 2) == 0.5  # 3 of the 6 pairs hold the right one
    assert evaluate.pass_at_k(4, 4, 1) == 1.0 and evaluate.pass_at_k(4, 0, 4) == 0.0
    assert evaluate.maj_at_k(["7", "7", "8"], "7", 3) == 1.0
    assert evaluate.maj_at_k(["7", "8"], "7", 2) == 0.5
    assert evaluate.maj_at_k(["7", None, None], "7", 3) == 1.0  # silence is no vote
    assert evaluate.maj_at_k([None, None], "7", 2) == 0.0


@pytest.mark.parametrize("k", [0, 5])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(ValueError, match="choose k from 1 to 4"):
        evaluate.pass_at_k(4, 2, k)
    with pytest.raises(ValueError, match="choose k from 1 to 4"):
        evaluate.maj_at_k(["7"] * 4, "7", k)


def test_the_interval_covers_the_normal_approximation_and_is_seeded():
    values = np.random.default_rng(0).random(400)
    low, high = evaluate.interval(values)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.005)
    assert evaluate.interval(values) == (low, high)
    assert evaluate.interval([1.0, 1.0]) == (1.0, 1.0)


def test_powers_of_two():
    assert evaluate.powers_of_two(1) == [1]
    assert evaluate.powers_of_two(16) == [1, 2, 4, 8, 16]
    assert evaluate.powers_of_two(5) == [1, 2, 4]


def test_summary_by_hand():
    """Two problems, two samples each: the first right and wrong, the second silent and wrong."""
    sampled = pd.DataFrame(
        {
            "problem_id": ["a", "a", "b", "b"],
            "gold": ["7", "7", "1", "1"],
            "completion": ["x", "y", "z", "z"],
            "answer": ["7", "8", None, "2"],
            "correct": [True, False, False, False],
            "length": [10, 20, 30, 40],
            "truncated": [False, False, True, False],
            "bare": [True, True, True, False],
            "policy_logprob": [-1.0, -2.0, -3.0, -4.0],
            "reference_logprob": [-2.0, -2.0, -5.0, -7.0],
            "entropy": [0.1, 0.1, 0.1, 0.2],
        }
    )
    numbers = evaluate.summarise(sampled, sampled.iloc[[0, 2]])
    expected = {
        "problems": 2,
        "samples": 2,
        "accuracy_sampled": 0.25,
        "accuracy_greedy": 0.5,
        "pass_at_1": 0.25,
        "pass_at_2": 0.5,
        "maj_at_1": 0.25,
        "maj_at_2": 0.25,  # a tie on the first problem, a wrong vote on the second
        "length_mean": 25.0,
        "truncated": 0.25,
        "bare_share": 0.75,
        "distinct_answers": 1.5,
        "distinct_completions": 1.5,
        "kl": 1.5,
        "entropy": 0.14,
        "reference_logprob": -4.0,
        "tokens": 140,
    }
    assert {k: numbers[k] for k in expected} == pytest.approx(expected)
    assert numbers["accuracy_sampled_low"] == 0.0 and numbers["accuracy_sampled_high"] == 0.5


def test_differently_written_right_answers_are_one_vote():
    group = pd.DataFrame({"gold": ["7"] * 3, "answer": ["7", "07", "8"], "correct": [True, True, False]})
    assert evaluate._majority(group, 3) == 1.0


def test_the_kl_of_an_untrained_adapter_is_zero_to_the_last_bit(policy):
    model, tokenizer = policy
    sampled, greedy = evaluate.measure(model, tokenizer, evaluate.Plan(problems=4, samples=3), has_adapter=True)
    assert (sampled["policy_logprob"] == sampled["reference_logprob"]).all() and (
        sampled["reference_logprob"] < 0
    ).all()
    assert len(sampled) == 12 and len(greedy) == 4 and (sampled["length"] > 0).all()


def test_a_result_says_who_graded_and_what_was_left_out(tmp_path):
    data = tmp_path / "mine.jsonl"
    rows = [{"prompt": f"{n}+{n}", "gold": 2 * n} for n in range(4)]
    rows += [{"prompt": "1+" * 40 + "1", "gold": 41}, {"id": "bad", "prompt": "5+5", "gold": "\\frac{1}{"}]
    runs.write_lines(data, rows)
    how = evaluate.Plan(data=str(data), problems=10, samples=2, max_completion_tokens=12)
    result = evaluate.evaluate("many_wordings", tmp_path, how)
    assert result["problems"] == 4 and result["plan"]["left_out"] == {"too_long": 1, "unreadable_golds": ["bad"]}
    assert result["plan"]["verifier"]["variant"] == "lenient" and result["plan"]["revision"].startswith("local-")
    assert runs.read_json(tmp_path / "evaluations" / "mine-test.json")["plan"] == result["plan"]
    with pytest.raises(ValueError, match="raise max_prompt_tokens"):
        evaluate.evaluate("many_wordings", tmp_path, dataclasses.replace(how, max_prompt_tokens=1))


def test_a_plan_is_checked(monkeypatch):
    profile = {"evaluate": {"problem": 3}}
    monkeypatch.setattr(evaluate.runs, "load_profile", lambda _: profile)
    with pytest.raises(ValueError, match="Unknown evaluation settings problem"):
        evaluate.plan("mine")
