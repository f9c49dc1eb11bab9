"""From a model to a graded table."""

import pytest

from lib.data.prompts import Problem
from lib.evaluation import grading, runner
from lib.evaluation.config import EvalConfig
from lib.evaluation.grading import Loaded


def _verdicts(problem: Problem, answers: list[str | None]):
    texts = ["no answer" if a is None else f"\\boxed{{{a}}}" for a in answers]
    return grading.grade(texts, [problem.gold] * len(answers))


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
    assert grading.votes([problem] * len(answers), _verdicts(problem, answers)) == votes


def test_votes_of_different_problems_do_not_mix():
    one, two = Problem("a", "", "7", ""), Problem("b", "", "8", "")
    verdicts = _verdicts(one, ["8", "0.5"]) + _verdicts(two, ["8", "\\frac{1}{2}"])
    assert grading.votes([one, one, two, two], verdicts) == ["8", "0.5", "8", "\\frac{1}{2}"]


def test_the_kl_of_an_untrained_adapter_is_zero_to_the_last_bit(policy):
    config = EvalConfig(problems=4, samples=3)
    problems = runner.load_problems(config).problems
    sampled, greedy = grading.measure(Loaded(*policy, has_adapter=True), config, problems)
    assert (sampled["policy_logprob"] == sampled["reference_logprob"]).all() and (sampled["reference_logprob"] < 0).all()
    assert sampled["sampling_logprob"].to_numpy() == pytest.approx(sampled["policy_logprob"].to_numpy(), abs=1e-3)
    assert len(sampled) == 12 and len(greedy) == 4 and (sampled["length"] > 0).all()


def test_the_settings_say_how_to_sample():
    config = EvalConfig(temperature=0.7, top_p=0.9, top_k=5, repetition_penalty=1.1, max_completion_tokens=9, seed=3)
    sampler = config.sampler
    assert (sampler.temperature, sampler.top_p, sampler.top_k, sampler.repetition_penalty) == (0.7, 0.9, 5, 1.1)
    assert (sampler.max_tokens, sampler.seed, sampler.batch_size) == (9, 3, 512)
    assert config.validation().split == "validation" and config.validation().problems == 100
