"""Every branch of the reward algebra against numbers summed by hand."""

import numpy as np
import pytest

from lib import regimes

# Two completions: right, unlikely, 4 tokens; wrong, likelier under the base than under the policy, 2 tokens.
SIGNALS = regimes.Signals(
    task_reward=np.array([1.0, 0.0]),
    reference_logprob=np.array([-8.0, -2.0]),
    policy_logprob=np.array([-6.0, -3.0]),
    length=np.array([4, 2]),
    format_reward=np.array([1.0, 1.0]),
    coin=np.array([0.0, 1.0]),
)


@pytest.mark.parametrize(
    ("name", "alpha", "beta_inv", "normalization", "weight", "expected"),
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
        ("coin", None, None, "sum", 1, [0, 1]),
        ("format", None, None, "sum", 1, [1, 1]),
    ],
)
def test_reward_by_hand(name, alpha, beta_inv, normalization, weight, expected):
    regime = regimes.named(name, alpha, beta_inv, normalization, weight)
    np.testing.assert_allclose(regime.reward(SIGNALS), expected, atol=1e-12)
    np.testing.assert_allclose(sum(regime.reward_terms(SIGNALS).values()), expected, atol=1e-12)


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
def test_the_authors_numbers_name_the_regime(numbers, name):
    regime = regimes.from_numbers(*numbers)
    assert (regime.name, regime.mode, regime.alpha, regime.beta_inv) == (name, *numbers)
    assert regime == regimes.named(name, numbers[1], numbers[2])


def test_task_reward_does_not_depend_on_its_weight():
    """In optimization mode with α = 0, β⁻¹ scales nothing that is left."""
    one, many = regimes.from_numbers("optimization", 0, 1), regimes.from_numbers("optimization", 0, 1e4)
    np.testing.assert_array_equal(one.reward(SIGNALS), many.reward(SIGNALS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "sharp"}, "Unknown regime 'sharp': choose one of task"),
        ({"name": "sharpen", "alpha": -1}, "alpha is -1"),
        ({"name": "tilted", "beta_inv": -1}, "beta_inv is -1"),
        ({"name": "tilted", "alpha": float("nan")}, "alpha is nan"),
        ({"name": "tempered", "beta_inv": 100}, "`tempered` has no task reward"),
        ({"name": "sharpen", "beta_inv": 100}, "use 'task\\+likelihood'"),
        ({"name": "tilted", "beta_inv": 0}, "use 'tempered'"),
        ({"name": "task", "alpha": 1}, "`task` has no likelihood term"),
        ({"name": "sharpen", "alpha": 0}, "has no likelihood term"),
        ({"name": "coin", "alpha": 1}, "is a control"),
        ({"name": "coin", "normalization": "mean"}, "no likelihood term to normalise"),
        ({"name": "sharpen", "weight": 0.5}, "only normalization 'weighted_mean' uses"),
        ({"name": "sharpen", "normalization": "median"}, "Unknown normalization 'median'"),
        ({"name": "sharpen", "normalization": "weighted_mean", "weight": -1}, "weight is -1"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        regimes.named(**arguments)


def test_unknown_mode_and_no_reward_at_all_are_refused():
    with pytest.raises(ValueError, match="Unknown mode 'sample'"):
        regimes.from_numbers("sample", 1, 0)
    with pytest.raises(ValueError, match="has no likelihood term"):
        regimes.from_numbers("optimization", 0, 0)


def test_coin_is_fair_and_fixed_by_seed_and_step():
    tosses = np.concatenate([regimes.coin(3, step, 100) for step in range(100)])
    assert abs(tosses.mean() - 0.5) < 0.02
    np.testing.assert_array_equal(regimes.coin(3, 7, 64), regimes.coin(3, 7, 64))
    assert (regimes.coin(3, 7, 64) != regimes.coin(3, 8, 64)).any()
    assert (regimes.coin(3, 7, 64) != regimes.coin(4, 7, 64)).any()
