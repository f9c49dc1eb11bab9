"""Samplers of p^α against the exact distribution of an enumerable sequence model, by total variation."""

import numpy as np
import pytest

from lib.theory import distributions, samplers, sequences
from tests.theory import chains

ALPHA, TOKENS, DRAWS = 2.0, 5, 20_000


@pytest.fixture(scope="module")
def chain():
    """A Markov chain over two tokens that likes to repeat itself, with a hazard that differs by token: lengths vary."""
    return sequences.markov([0.55, 0.35, 0.1], [[0.5, 0.2, 0.3], [0.25, 0.6, 0.15]])


def words(rows: samplers.Rows) -> list[tuple[int, ...]]:
    return [tuple(row[:length].tolist()) for row, length in zip(rows.tokens, rows.length)]


def distance(chain, log_p_of, rows) -> float:
    """Total variation between draws and exact log-probabilities, made from log p of every completion."""
    found = list(sequences.completions(chain, TOKENS))
    exact = np.exp(log_p_of(np.array([c.log_p for c in found])))
    place = {c.tokens: i for i, c in enumerate(found)}
    counts = np.bincount([place[word] for word in words(rows)], minlength=len(found))
    return 0.5 * np.abs(counts / counts.sum() - exact).sum()


def sharpened(log_p):
    return distributions.power(log_p, ALPHA)


class Counting(chains.ExactEngine):
    """Counts the tokens that it writes."""

    written = 0

    def extend(self, rows, keep, limit, alpha, rng):
        result = super().extend(rows, keep, limit, alpha, rng)
        self.written += int((result.length - np.minimum(keep, rows.length)).sum())
        return result


def metropolis(chain, steps, block=None):
    engine = Counting(chain, DRAWS)
    drawn = samplers.metropolis(engine, TOKENS, ALPHA, steps, np.random.default_rng(0), block)
    assert drawn.tokens == engine.written and 0 < drawn.acceptance < 1
    return distance(chain, sharpened, drawn.rows)


def sequential(chain, particles, block=1):
    engine = Counting(chain, DRAWS * particles)
    drawn = samplers.sequential(engine, TOKENS, ALPHA, particles, np.random.default_rng(0), block)
    assert drawn.tokens == engine.written and len(drawn.rows.length) == DRAWS
    return distance(chain, sharpened, drawn.rows)


def test_the_error_of_twenty_thousand_exact_draws(chain):
    """What total variation is left by chance alone: the floor under the tests below."""
    exact = sequences.Sharpened(chain, ALPHA, TOKENS).sample(DRAWS)
    zeros = np.zeros((DRAWS, TOKENS))
    tokens = np.where(np.arange(TOKENS) < exact.length[:, None], exact.tokens, -1)
    assert distance(chain, sharpened, samplers.Rows(tokens, exact.length, exact.length > 0, zeros, zeros)) < 0.02


def test_token_temperature_is_local(chain):
    drawn = samplers.draw(chains.ExactEngine(chain, DRAWS), TOKENS, ALPHA, np.random.default_rng(0))
    assert drawn.tokens == drawn.rows.length.sum()
    cold = sequences.local_temperature(chain, ALPHA)
    assert distance(chain, lambda _: np.array([c.log_p for c in sequences.completions(cold, TOKENS)]), drawn.rows) < 0.02
    assert distance(chain, sharpened, drawn.rows) > 0.1
    for word, row in list(zip(words(drawn.rows), range(DRAWS)))[:50]:
        assert drawn.rows.sum_p()[row] == pytest.approx(chains.log_prob(chain, word))
        assert drawn.rows.log_q[row].sum() == pytest.approx(chains.log_prob(cold, word))


def test_greedy_takes_the_likeliest_token(chain):
    drawn = samplers.draw(chains.ExactEngine(chain, 3), TOKENS, np.inf, np.random.default_rng(0))
    assert words(drawn.rows) == [(0,) * TOKENS] * 3 and not drawn.rows.ended.any()


def test_metropolis_hastings_approaches_the_power(chain):
    """The stated budget: 32 steps per draw reach a total variation under 0.05."""
    few, some, many = (metropolis(chain, steps) for steps in (1, 6, 32))
    assert few > 0.1 and few > some > many and many < 0.05


def test_metropolis_hastings_in_blocks(chain):
    assert metropolis(chain, 32, block=2) < 0.05


def test_sequential_monte_carlo_approaches_the_power(chain):
    """The stated budget: 32 particles per draw reach a total variation under 0.05."""
    one, few, many = (sequential(chain, particles) for particles in (1, 4, 32))
    assert one > 0.1 and one > few > many and many < 0.05


def test_sequential_monte_carlo_in_blocks(chain):
    assert sequential(chain, 32, block=2) < 0.05


def test_resampling_on_the_way_is_what_long_completions_need():
    """200 tokens, 16 particles: weighting only at the end, plain importance sampling, stays far from the exact mean of log p."""
    step = [[0.4, 0.3, 0.3, 0], [0.2, 0.6, 0.2, 0], [0.34, 0.33, 0.33, 0]]
    base, length, particles = sequences.markov([0.5, 0.3, 0.2, 0], step), 200, 16
    exact = sequences.Sharpened(base, ALPHA, length).moments().log_p_mean

    def error(block):
        engine, rng = chains.ExactEngine(base, 150 * particles), np.random.default_rng(0)
        return abs(samplers.sequential(engine, length, ALPHA, particles, rng, block).rows.sum_p().mean() - exact)

    assert error(1) < 5 and error(length) > 8


def test_resampling_is_by_weight():
    log_weight = np.log(np.tile([0.5, 0.25, 0.2, 0.05], (2000, 1)))
    chosen = samplers._resample(log_weight, np.random.default_rng(0))
    counts = np.stack([(chosen == i).sum(axis=1) for i in range(4)], axis=1)
    expected = 4 * np.array([0.5, 0.25, 0.2, 0.05])
    assert (np.abs(counts - expected) < 1).all() and counts.mean(axis=0) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e, g: samplers.metropolis(e, 5, np.inf, 2, g), "greedy decoding"),
        (lambda e, g: samplers.metropolis(e, 0, 2, 2, g), "max_length is 0"),
        (lambda e, g: samplers.sequential(e, 5, 2, 3, g), "no whole groups of 3"),
        (lambda e, g: samplers.sequential(e, 5, 2, 2, g, block=0), "block is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(chain, call, message):
    with pytest.raises(ValueError, match=message):
        call(chains.ExactEngine(chain, 4), np.random.default_rng(0))


def test_rows_are_cut_back_and_continued(chain):
    rng = np.random.default_rng(0)
    rows = samplers.draw(chains.ExactEngine(chain, 200), TOKENS, 1.0, rng).rows
    keep = np.minimum(2, rows.length)
    longer = chains.ExactEngine(chain, 200).extend(rows, keep, TOKENS, 1.0, rng)
    assert (longer.tokens[:, :2] == rows.tokens[:, :2]).all() and (longer.log_p[:, :2] == rows.log_p[:, :2]).all()
    done = rows.ended & (rows.length <= 2)
    assert done.any() and (longer.length[done] == rows.length[done]).all()
    behind = np.arange(TOKENS) >= longer.length[:, None]
    assert (longer.tokens[behind] == -1).all() and (longer.log_p[behind] == 0).all()
    assert (longer.ended == [word[-1] == chain.eos for word in words(longer)]).all()
