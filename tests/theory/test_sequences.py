"""Dynamic programming against brute force over every completion."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.theory import distributions, sequences
from tests.theory import chains


def rows(rng, *shape) -> np.ndarray:
    """Random distributions over the last axis, some tokens impossible."""
    weights = rng.dirichlet(np.full(shape[-1], 0.7), shape[:-1]) * (rng.random(shape) < 0.8)
    weights[..., -1] += 1e-3
    return weights / weights.sum(-1, keepdims=True)


def random_model(seed: int) -> sequences.SequenceModel:
    """Order 1, order 2 or a tree over 2 or 3 tokens, with the reward of a random automaton."""
    rng = np.random.default_rng(seed)
    tokens = int(rng.integers(2, 4))
    if seed % 3 == 0:
        base = sequences.markov(rows(rng, tokens + 1), rows(rng, tokens, tokens + 1))
    elif seed % 3 == 1:
        sizes = [(tokens + 1,), (tokens, tokens + 1), (tokens, tokens, tokens + 1)]
        base = chains.markov2(*(rows(rng, *size) for size in sizes))
    else:
        leaf = {0: (0.25, 1.0), 1: (0.75, 0.0)}
        base = sequences.tree({0: (0.5, leaf), 1: (0.5, {0: (1.0, leaf)})}, tokens)
    machine = int(rng.integers(1, 4))
    return chains.rewarded(base, rng.integers(0, machine, (machine, tokens)), rng.integers(0, 2, machine))


models = st.builds(random_model, st.integers(0, 10_000))


def listed(base, max_length):
    found = list(sequences.completions(base, max_length))
    return found, np.array([c.log_p for c in found]), np.array([c.reward for c in found])


def test_completions_are_every_string_of_tokens():
    """The oracle itself, against `itertools.product` and a chain multiplied by hand."""
    first, step = np.array([0.5, 0.2, 0.3]), np.array([[0.1, 0.6, 0.3], [0.4, 0.0, 0.6]])
    base = sequences.markov(first, step)
    found = {c.tokens: math.exp(c.log_p) for c in sequences.completions(base, 3)}
    expected = {}
    for length in range(4):
        for word in itertools.product(range(2), repeat=length):
            p = math.prod(np.append(first[:2], 1)[list(word[:1])]) * math.prod(step[a, b] for a, b in zip(word, word[1:]))
            ending = 1.0 if length == 3 else (step[word[-1], 2] if word else first[2])
            if p * ending > 0:
                expected[word + (2,) * (length < 3)] = p * ending
    assert found == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(1)


def test_order_two_by_hand():
    rng = np.random.default_rng(0)
    first, second, step = rows(rng, 3), rows(rng, 2, 3), rows(rng, 2, 2, 3)
    base = chains.markov2(first, second, step)
    by_hand = first[1] * second[1, 0] * step[1, 0, 1] * step[0, 1, 2]
    assert math.exp(chains.log_prob(base, (1, 0, 1, 2))) == pytest.approx(by_hand)


def test_an_automaton_counts():
    """Reward 1 for an even number of token 1."""
    base = sequences.markov([0.4, 0.4, 0.2], [[0.4, 0.4, 0.2]] * 2)
    base = chains.rewarded(base, [[0, 1], [1, 0]], [1, 0])
    for completion in sequences.completions(base, 5):
        finished = completion.tokens[-1] == base.eos
        assert completion.reward == (finished and completion.tokens.count(1) % 2 == 0)


@settings(deadline=None, max_examples=60)
@given(models, st.integers(1, 6), st.sampled_from([0.0, 0.5, 1.0, 2.0, 30.0, 1e4]), st.sampled_from([0.0, 1.5, 100.0]))
def test_dynamic_programming_matches_enumeration(base, max_length, alpha, beta_inv):
    found, log_p, reward = listed(base, max_length)
    log_q = distributions.tilt(log_p, reward, alpha, beta_inv)
    exact = sequences.Sharpened(base, alpha, max_length, beta_inv)
    scale = max(1.0, alpha)
    weights = distributions.scale(log_p, alpha) + beta_inv * reward
    assert exact.log_partition == pytest.approx(distributions.log_partition(weights), abs=1e-12 * scale, rel=1e-12)
    moments, near = exact.moments(), {"abs": 1e-11 * scale}
    assert moments.accuracy == pytest.approx(distributions.expected(log_q, reward), **near)
    assert moments.log_p_mean == pytest.approx(distributions.expected(log_q, log_p), **near)
    assert moments.log_p_variance == pytest.approx(distributions.covariance(log_q, log_p, log_p), **near)
    assert moments.covariance == pytest.approx(distributions.covariance(log_q, reward, log_p), **near)
    assert moments.entropy == pytest.approx(distributions.entropy(log_q), **near)
    marginals, q, eos = exact.marginals(), np.exp(log_q), base.eos
    token, length = np.zeros((max_length, eos + 1)), np.zeros(max_length)
    for probability, completion in zip(q, found):
        token[range(len(completion.tokens)), completion.tokens] += probability
        length[len(completion.tokens) - 1] += probability
    assert marginals.token == pytest.approx(token, **near)
    assert marginals.length == pytest.approx(length, **near)
    cut = np.array([c.tokens[-1] != eos for c in found])
    assert marginals.cut_off == pytest.approx(q[cut].sum(), **near)


@settings(deadline=None, max_examples=60)
@given(models, st.integers(1, 6))
def test_likeliest_completions(base, max_length):
    found, log_p, _ = listed(base, max_length)
    result = sequences.Likeliest(base, max_length)
    for t in range(1, max_length + 1):
        same = [c.log_p for c in found if len(c.tokens) == t and c.tokens[-1] == base.eos]
        assert result.log_p[t - 1] == pytest.approx(max(same, default=-np.inf))
        if same:
            assert chains.log_prob(base, result.completion(t)) == pytest.approx(max(same))
            assert len(result.completion(t)) == t
        else:
            with pytest.raises(ValueError, match="No completion ends"):
                result.completion(t)
    cut = [c.log_p for c in found if c.tokens[-1] != base.eos]
    assert result.cut_off == pytest.approx(max(cut, default=-np.inf))
    finished = [c for c in found if c.tokens[-1] == base.eos]
    if not finished:
        with pytest.raises(ValueError, match="allow longer ones"):
            result.length()
    for weight in (0.0, 1.0) if finished else ():
        best = max(c.log_p / len(c.tokens) ** weight for c in finished)
        length = result.length(weight)
        assert result.log_p[length - 1] / length**weight == pytest.approx(best)
    sharp = sequences.Sharpened(base, 1e4, max_length)
    assert sharp.moments().log_p_mean == pytest.approx(log_p.max(), abs=1e-3)


def test_samples_follow_the_exact_distribution():
    base = random_model(0)
    found, log_p, reward = listed(base, 5)
    exact = sequences.Sharpened(base, 1.7, 5, 0.4)
    samples, q = exact.sample(40_000, seed=1), np.exp(distributions.tilt(log_p, reward, 1.7, 0.4))
    place = {c.tokens: i for i, c in enumerate(found)}
    counts = np.zeros(len(found))
    for row, length, total, earned in zip(*samples):
        i = place[tuple(row[:length].tolist())]
        counts[i] += 1
        assert total == pytest.approx(log_p[i]) and earned == reward[i]
        assert (row[length:] == base.eos).all()
    likely = q * 40_000 > 5
    chi2 = (((counts - 40_000 * q) ** 2) / (40_000 * q))[likely].sum()
    freedom = likely.sum() - 1
    assert abs(chi2 - freedom) < 5 * math.sqrt(2 * freedom)
    again = exact.sample(100, seed=1)
    assert (again.tokens == exact.sample(100, seed=1).tokens).all()
    assert (again.tokens != exact.sample(100, seed=2).tokens).any()


def test_alpha_one_is_the_model_itself():
    base = random_model(1)
    exact = sequences.Sharpened(base, 1, 300)
    assert exact.log_partition == pytest.approx(0, abs=1e-12)
    assert np.exp(exact.log_policy(7)) == pytest.approx(np.exp(base.log_step), abs=1e-12)


def test_a_thousand_tokens_at_any_alpha():
    """No warning, no NaN; and where tokens are independent everything is known in closed form."""
    base = sequences.markov([0.6, 0.3, 0.1, 0.0], [[0.6, 0.3, 0.1, 0.0]] * 3)
    for alpha in (0.0, 0.5, 1.0, 4.0, 1e4):
        with np.errstate(all="raise", under="ignore"):
            exact = sequences.Sharpened(base, alpha, 1000)
            moments = exact.moments()
        token = distributions.log_of([0.6, 0.3, 0.1])
        one = distributions.power(token, alpha)
        assert exact.log_partition == pytest.approx(1000 * distributions.log_partition(alpha * token), rel=1e-12, abs=1e-9)
        assert moments.log_p_variance == pytest.approx(1000 * distributions.covariance(one, token, token), rel=1e-9, abs=1e-9)
        assert moments.entropy == pytest.approx(1000 * distributions.entropy(one), abs=1e-6)
        assert exact.marginals().cut_off == pytest.approx(1)


def test_ties_at_a_thousand_tokens_and_any_alpha():
    """Found by review: the entropy was once a difference of numbers near α·T·log p, and off by half a nat at α = 10^4."""
    base = sequences.markov([0.25, 0.25, 0.25, 0.25, 0.0], [[0.25, 0.25, 0.25, 0.25, 0.0]] * 4)
    for alpha in (1.0, 100.0, 1e4, 1e6):
        exact = sequences.Sharpened(base, alpha, 1000)
        assert exact.moments().entropy == pytest.approx(1000 * np.log(4), rel=1e-12)
        assert exact.marginals().length.sum() == pytest.approx(1, abs=1e-12)


def test_local_temperature_is_not_the_power():
    """Statement 4: a garden path. By hand, at α = 2."""
    many = dict.fromkeys(range(4), (0.25, 0.0))
    base = sequences.tree({0: (0.6, many), 1: (0.4, 1.0)}, 4)
    local = sequences.Sharpened(sequences.local_temperature(base, 2), 1, 3).moments().accuracy
    assert local == pytest.approx(0.16 / 0.52)
    assert sequences.Sharpened(base, 2, 3).moments().accuracy == pytest.approx(0.16 / (0.16 + 0.36 / 4))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: sequences.markov([0.5, 0.5], [[0.5, 0.6]]), "sum to 1"),
        (lambda: sequences.markov([0.5, 0.5], [[-0.5, 1.5]]), "not negative"),
        (lambda: sequences.model([[0.5, 0.5]], [[1]]), "states"),
        (lambda: sequences.tree({0: (0.5, 1.0)}, 2), "sum to 1"),
        (lambda: sequences.model([[0.5, 0.5]], [[0]], reward=np.nan), "finite number"),
        (lambda: chains.rewarded(random_model(0), [[2, 0]], [1]), "into its Q states"),
        (lambda: chains.rewarded(sequences.markov([0.5, 0.5], [[0.5, 0.5]]), [[0]], [1, 0]), "finite accept"),
        (lambda: sequences.Sharpened(random_model(0), -1, 5), "alpha"),
        (lambda: sequences.Sharpened(random_model(0), 1, 0), "max_length"),
    ],
)
def test_bad_models_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
