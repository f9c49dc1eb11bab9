"""Every branch of the reward algebra against numbers summed by hand."""

import dataclasses

import numpy as np
import pytest

from lib.rewards import objectives

# Two completions: right, unlikely, 4 tokens; wrong, likelier under the base than under the policy, 2 tokens.
INPUTS = objectives.RewardInputs(
    task_reward=np.array([1.0, 0.0]),
    reference_logprob=np.array([-8.0, -2.0]),
    policy_logprob=np.array([-6.0, -3.0]),
    length=np.array([4, 2]),
    format_reward=np.array([1.0, 1.0]),
    random=np.array([0.0, 1.0]),
)


@pytest.mark.parametrize(
    ("name", "alpha", "beta_inv", "normalization", "length_exponent", "expected"),
    [
        ("task", None, None, "sum", 1, [1, 0]),
        ("sharpen", 1, None, "sum", 1, [-8, -2]),
        ("sharpen", 2.5, None, "sum", 1, [-20, -5]),
        ("sharpen", 2, None, "mean", 1, [-4, -2]),  # 2·(−8)/4, 2·(−2)/2
        ("sharpen", 1, None, "weighted_mean", 0.5, [-4, -2 / 2**0.5]),
        ("tempered", 1, None, "sum", 1, [-2, 1]),  # S_p − S_π alone
        ("tempered", 4, None, "sum", 1, [-26, -5]),  # 3·(−8) + (−8+6), 3·(−2) + (−2+3)
        ("tempered", 0.5, None, "sum", 1, [2, 2]),  # −0.5·(−8) − 2, −0.5·(−2) + 1
        ("tempered", 4, None, "mean", 1, [-8, -2]),  # 3·(−8)/4 − 2, 3·(−2)/2 + 1: the KL stays a sum
        ("tempered", 3, None, "weighted_mean", 2, [-3, 0]),  # 2·(−8)/16 − 2, 2·(−2)/4 + 1
        ("tilted", 1, 100, "sum", 1, [1 - 0.02, 0.01]),
        ("tilted", 2, 10, "sum", 1, [1 - 1.0, -0.1]),  # 1 + (−8−2)/10, (−2+1)/10
        ("tilted", 2, 10, "mean", 1, [1 - 0.4, 0.0]),  # 1 + (−2−2)/10, (−1+1)/10
        ("task+likelihood", 1, 100, "sum", 1, [1 - 0.08, -0.02]),
        ("task+likelihood", 2, 4, "mean", 1, [1 - 1.0, -0.5]),  # 1 + (2/4)·(−8)/4, (2/4)·(−2)/2
        ("random", None, None, "sum", 1, [0, 1]),
        ("format", None, None, "sum", 1, [1, 1]),
    ],
)
def test_reward_by_hand(name, alpha, beta_inv, normalization, length_exponent, expected):
    objective = objectives.named(name, alpha, beta_inv, normalization, length_exponent)
    np.testing.assert_allclose(objective.reward(INPUTS), expected, atol=1e-12)
    np.testing.assert_allclose(sum(objective.reward_terms(INPUTS).values()), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        (("optimization", 0, 1), "task"),
        (("optimization", 0, 100), "task"),
        (("optimization", 1, 0), "sharpen"),
        (("optimization", 1, 100), "task+likelihood"),
        (("sampling", 4, 0), "tempered"),
        (("sampling", 2, 100), "tilted"),
        (("sampling", 0, 100), "tilted"),
    ],
)
def test_the_authors_numbers_name_the_objective(numbers, name):
    objective = objectives.from_numbers(*numbers)
    assert (objective.name, objective.mode, objective.alpha, objective.beta_inv) == (name, *numbers)
    assert objective == objectives.named(name, numbers[1], numbers[2])


def test_task_reward_does_not_depend_on_its_weight():
    """In optimization mode with α = 0, β⁻¹ scales nothing that is left."""
    one, many = objectives.from_numbers("optimization", 0, 1), objectives.from_numbers("optimization", 0, 1e4)
    np.testing.assert_array_equal(one.reward(INPUTS), many.reward(INPUTS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "sharp"}, "Unknown objective 'sharp': choose one of task"),
        ({"name": "sharpen", "alpha": -1}, "alpha is -1"),
        ({"name": "tilted", "beta_inv": -1}, "beta_inv is -1"),
        ({"name": "tilted", "alpha": float("nan")}, "alpha is nan"),
        (
            {"name": "tempered", "beta_inv": 100},
            "`tempered` does not weigh a task reward, but beta_inv is 100: leave it out, or use 'tilted'",
        ),
        ({"name": "sharpen", "beta_inv": 100}, "use 'task\\+likelihood'"),
        ({"name": "tilted", "beta_inv": 0}, "use 'tempered'"),
        ({"name": "task", "alpha": 1}, "`task` has no likelihood term"),
        ({"name": "sharpen", "alpha": 0}, "has no likelihood term"),
        ({"name": "random", "alpha": 1}, "`random` has no likelihood term, but alpha is 1: leave it out\\."),
        ({"name": "random", "normalization": "mean"}, "no likelihood term to normalise"),
        ({"name": "sharpen", "length_exponent": 0.5}, "only normalization 'weighted_mean' uses"),
        ({"name": "sharpen", "normalization": "median"}, "Unknown normalization 'median'"),
        ({"name": "sharpen", "normalization": "weighted_mean", "length_exponent": -1}, "length_exponent is -1"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        objectives.named(**arguments)


def test_unknown_mode_and_no_reward_at_all_are_refused():
    with pytest.raises(ValueError, match="Unknown mode 'sample'"):
        objectives.from_numbers("sample", 1, 0)
    with pytest.raises(ValueError, match="has no likelihood term"):
        objectives.from_numbers("optimization", 0, 0)


def test_coin_is_fair_and_fixed_by_seed_and_step():
    tosses = np.concatenate([objectives.random_reward(3, step, 100) for step in range(100)])
    assert abs(tosses.mean() - 0.5) < 0.02
    np.testing.assert_array_equal(objectives.random_reward(3, 7, 64), objectives.random_reward(3, 7, 64))
    assert (objectives.random_reward(3, 7, 64) != objectives.random_reward(3, 8, 64)).any()
    assert (objectives.random_reward(3, 7, 64) != objectives.random_reward(4, 7, 64)).any()


def test_labels_carry_the_numbers_that_an_objective_uses():
    assert objectives.named("task").label == "task" and objectives.named("sharpen", 2).label == "sharpen α=2"
    assert objectives.named("tilted", 2, 100).label == "tilted α=2 β⁻¹=100"
    assert objectives.named("sharpen", 1, None, "mean").label == "sharpen α=1 mean"
    labels = {objectives.named("sharpen", 1, None, "weighted_mean", power).label for power in (0.5, 0.8)}
    assert labels == {"sharpen α=1 weighted_mean 0.5", "sharpen α=1 weighted_mean 0.8"}


def test_an_objective_of_ones_own_is_one_entry(monkeypatch):
    """Its terms take a signal of its own by keyword; R is their sum, and what it has no use for is refused."""
    monkeypatch.setattr(objectives, "OBJECTIVES", dict(objectives.OBJECTIVES))

    def terms(objective, task_reward, length, digits):
        return {"task": task_reward, "digits": objective.alpha * digits / length}

    def digits(texts, golds):
        return np.array([float(sum(c.isdigit() for c in text)) for text in texts])

    look = {"color": "#000000", "dash": "-", "marker": "h"}
    objectives.register(objectives.Definition("wordy", "r", "", terms, alpha=2.0, signals={"digits": digits}, **look))
    wordy, extra = objectives.named("wordy"), objectives.own_signals(["12 a", "7"], ["", ""])
    found = wordy.reward_terms(dataclasses.replace(INPUTS, extra=extra))
    assert {name: part.tolist() for name, part in found.items()} == {
        "task": [1, 0],
        "likelihood": [0, 0],
        "kl": [0, 0],
        "digits": [1, 1],
    }
    assert wordy.label == "wordy α=2" and wordy.definition.inputs == ("task_reward", "length", "digits")
    with pytest.raises(ValueError, match="There is no input 'digits' here"):
        wordy.reward(INPUTS)
    with pytest.raises(ValueError, match="`wordy` does not weigh a task reward, but beta_inv is 1: leave it out\\."):
        objectives.named("wordy", beta_inv=1)
    with pytest.raises(ValueError, match="The terms of 'misspelt' take 'digits', which is no input: declare it"):
        objectives.register(objectives.Definition("misspelt", "r", "", terms, color="#000000", dash="-", marker="H"))
    with pytest.raises(ValueError, match="has the name, or the dash and marker, of 'wordy'"):
        objectives.register(objectives.Definition("other", "r", "", terms, **look))
