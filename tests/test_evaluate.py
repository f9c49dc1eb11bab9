"""From a model to a graded table, and the numbers of a table summed by hand."""

import pandas as pd
import pytest

from lib import evaluate
from lib.problems import Problem
from lib.runs import UsageError


def test_summary_by_hand():
    """Two problems, two samples each: the first right and wrong, the second silent and wrong."""
    sampled = pd.DataFrame(
        {
            "problem_id": ["a", "a", "b", "b"],
            "gold": ["7", "7", "1", "1"],
            "completion": ["x", "y", "z", "z"],
            "vote": ["7", "8", None, "2"],
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
    assert numbers["detectable_effect"] == pytest.approx(2.801585 * 0.5 / 2**0.5)


def _verdicts(problem: Problem, answers: list[str | None]):
    texts = ["no answer" if a is None else f"\\boxed{{{a}}}" for a in answers]
    return evaluate.grade(texts, [problem.gold] * len(answers))


@pytest.mark.parametrize(
    ("gold", "answers", "votes"),
    [
        ("7", ["7", "07", "8"], ["7", "7", "8"]),  # right ones, however they are written
        ("7", ["0.5", "\\frac{1}{2}", "0.50", "3"], ["0.5", "0.5", "0.5", "3"]),  # and wrong ones
        ("\\frac{1}{2}", ["0.5", "\\frac{2}{4}", None], ["\\frac{1}{2}", "\\frac{1}{2}", None]),
        ("7", [None, "", " 8 ", "8"], [None, None, "8", "8"]),
        ("7", ["9" * 300, "9" * 300, "x^{10^{10}}"], ["9" * 300, "9" * 300, "x^{10^{10}}"]),  # not worth parsing
    ],
)
def test_equivalent_answers_are_one_vote(gold, answers, votes):
    problem = Problem("a", "", gold, "")
    assert evaluate.votes([problem] * len(answers), _verdicts(problem, answers)) == votes


def test_votes_of_different_problems_do_not_mix():
    one, two = Problem("a", "", "7", ""), Problem("b", "", "8", "")
    verdicts = _verdicts(one, ["8", "0.5"]) + _verdicts(two, ["8", "\\frac{1}{2}"])
    assert evaluate.votes([one, one, two, two], verdicts) == ["8", "0.5", "8", "\\frac{1}{2}"]


def test_the_kl_of_an_untrained_adapter_is_zero_to_the_last_bit(policy):
    model, tokenizer = policy
    how = evaluate.Plan(problems=4, samples=3)
    sampled, greedy = evaluate.measure(model, tokenizer, how, evaluate.load_problems(how).problems, has_adapter=True)
    assert (sampled["policy_logprob"] == sampled["reference_logprob"]).all() and (
        sampled["reference_logprob"] < 0
    ).all()
    assert sampled["sampling_logprob"].to_numpy() == pytest.approx(sampled["policy_logprob"].to_numpy(), abs=1e-3)
    assert len(sampled) == 12 and len(greedy) == 4 and (sampled["length"] > 0).all()


def test_a_plan_is_checked(monkeypatch):
    profile = {"evaluate": {"problem": 3}, "by_model": {}}
    monkeypatch.setattr(evaluate.runs, "load_profile", lambda _: profile)
    with pytest.raises(UsageError, match="Unknown evaluation settings problem"):
        evaluate.plans("mine", "many_wordings")


def test_the_plan_says_how_to_sample():
    how = evaluate.Plan(temperature=0.7, top_p=0.9, top_k=5, repetition_penalty=1.1, max_completion_tokens=9, seed=3)
    sampler = how.sampler
    assert (sampler.temperature, sampler.top_p, sampler.top_k, sampler.repetition_penalty) == (0.7, 0.9, 5, 1.1)
    assert (sampler.max_tokens, sampler.seed, sampler.batch_size) == (9, 3, 512)
    assert how.validation().split == "validation" and how.validation().problems == 100
