"""The small bases that the theory notebooks and their exercises look at. Each is made to show one thing, and says what."""

import numpy as np

from lib.theory import distributions, sequences
from lib.theory.distributions import Distribution
from lib.theory.sequences import SequenceModel


def one_wrong(wordings: int, right_share: float = 0.9) -> Distribution:
    """Almost always right, in many ways: `right_share` of the probability is spread evenly over so many right wordings, and the
    rest is one wrong string, the last. With more than 9 wordings of 90% the wrong string is the likeliest."""
    return Distribution.of([right_share / wordings] * wordings + [1 - right_share], [1] * wordings + [0])


def three_bases() -> dict[str, Distribution]:
    """Three bases, each right half of the time. `agree`: right strings are the likely ones. `disagree`: wrong ones are. `agree at
    first`: as the first, but 15 of its 50 points of wrong answers are one string, the likeliest of all."""
    spread = {
        "agree": ([0.1] * 5, [0.01] * 50),
        "disagree": ([0.01] * 50, [0.1] * 5),
        "agree at first": ([0.1] * 5, [0.15] + [0.01] * 35),
    }
    return {name: Distribution.of(right + wrong, [1] * len(right) + [0] * len(wrong)) for name, (right, wrong) in spread.items()}


def half_right(right: int, wrong: int) -> Distribution:
    """Half of the probability on `right` right strings, half on `wrong` wrong ones, each group falling off as 1/√rank."""
    groups = [1 / np.sqrt(np.arange(1, n + 1)) for n in (right, wrong)]
    return Distribution.of(np.concatenate([0.5 * g / g.sum() for g in groups]), [1.0] * right + [0.0] * wrong)


def random_problems(count: int = 300, agreement: float = 0.3, seed: int = 0) -> list[Distribution]:
    """Problems of 12 completions with random likelihoods, 1 to 7 of them right. Right ones are likelier by `agreement` nats on
    average, with a standard deviation of 1.5 nats from problem to problem."""
    rng, made = np.random.default_rng(seed), []
    for shift in rng.normal(agreement, 1.5, count):
        right = np.arange(12) < rng.integers(1, 8)
        log_p = distributions.normalise(rng.normal(0, 1.5, 12) + shift * right)
        made.append(Distribution.of(np.exp(log_p), right))
    return made


def independent_tokens(hazard: float) -> SequenceModel:
    """Four tokens with the probabilities 40%, 30%, 20% and 10%, drawn independently; each step ends the completion with the
    probability `hazard`."""
    token = np.array([0.4, 0.3, 0.2, 0.1])
    return sequences.model([[*(1 - hazard) * token, hazard]], [[0, 0, 0, 0]])


def garden_path(first: float, ways: int) -> SequenceModel:
    """Token 0 comes first with the probability `first`, and leads to so many equally likely wrong completions; token 1 leads to a
    single right one."""
    wrong = dict.fromkeys(range(ways), (1 / ways, 0.0))
    return sequences.tree({0: (first, wrong), 1: (1 - first, {0: (1.0, 1.0)})}, tokens=max(2, ways))


def endless_chain(seed: int = 1) -> SequenceModel:
    """A random Markov chain over four tokens that never ends by itself. State v is "the last token was v", state 4 the start."""
    step = np.column_stack([np.random.default_rng(seed).dirichlet(np.ones(4), 4), np.zeros(4)])
    return sequences.markov(step[0], step)
