"""What exactness costs: dynamic programming against enumeration, and how it grows with the length."""

import time

import numpy as np

from lib.theory import distributions, sequences
from tests.bench import seconds


def chain(tokens: int, hazard: float = 0.0) -> sequences.SequenceModel:
    """A random Markov chain of order 1 that ends with the same chance at every token."""
    rng = np.random.default_rng(0)
    step = np.column_stack([(1 - hazard) * rng.dirichlet(np.ones(tokens), tokens + 1), np.full(tokens + 1, hazard)])
    return sequences.markov(step[-1], step[:-1])


def moments_by_enumeration(base: sequences.SequenceModel, max_length: int) -> tuple[float, float]:
    """(log-partition of p², mean log p under it), from a list of every completion."""
    log_p = np.array([c.log_p for c in sequences.completions(base, max_length)])
    return float(distributions.log_partition(2 * log_p)), float(distributions.expected(distributions.power(log_p, 2), log_p))


def against_enumeration() -> None:
    """Log-partition and mean log p of p² over 4 tokens, until listing all completions takes over 5 seconds."""
    base = chain(4, 0.1)
    for max_length in range(2, 20):
        listed = sum(4**t for t in range(max_length)) + 4**max_length
        started = time.perf_counter()
        expected = moments_by_enumeration(base, max_length)
        enumeration = time.perf_counter() - started

        def exact(length=max_length):
            return sequences.Sharpened(base, 2, length)

        found = exact()
        assert np.allclose((found.log_partition, found.moments().log_p_mean), expected, rtol=1e-9)
        programming = seconds(lambda: exact().moments(), 3)
        ratio = enumeration / programming
        print(f"{listed:10,} completions of up to {max_length:2d} tokens: listing / dynamic programming {ratio:9.1f}")
        if enumeration > 5:
            break


def by_length() -> None:
    """Log-partition and 1,000 exact samples of p^α with 64 tokens, for growing T, and the exponent of the fit."""
    base, lengths, times = chain(64), [250, 500, 1000, 2000, 4000], []
    for length in lengths:
        build = seconds(lambda n=length: sequences.Sharpened(base, 2, n), 3)
        sharpened = sequences.Sharpened(base, 2, length)
        draw = seconds(lambda s=sharpened: s.sample(1000), 3)
        assert (sharpened.sample(10).length == length).all()  # the full length is what is timed
        times.append(build + draw)
        print(f"T = {length:4d}, V = 64: log-partition {build:.3f} s, 1,000 samples {draw:.3f} s, together {build + draw:.3f} s")
    exponent = np.polyfit(np.log(lengths), np.log(times), 1)[0]
    slope, start = np.polyfit(lengths, times, 1)
    print(f"time ∝ T^{exponent:.2f}; linear fit: {1e6 * slope:.0f} µs a token and {1e3 * start:.1f} ms at the start")


def enumerated() -> None:
    """The optimum of `tilted`, its accuracy and entropy, over growing numbers of listed completions."""
    rng, ratios = np.random.default_rng(0), []
    for power in (16, 18, 20):
        log_p = distributions.normalise(5 * rng.normal(size=2**power))
        reward = (rng.random(2**power) < 0.3) * 1.0

        def optimum(log_p=log_p, reward=reward):
            log_q = distributions.tilt(log_p, reward, 2, 10)
            return distributions.expected(log_q, reward), distributions.entropy(log_q)

        ratios.append(seconds(optimum, 3))
        ratio = ratios[-1] / ratios[0]
        print(f"2^{power} completions listed: optimum and accuracy {ratios[-1]:.3f} s, {ratio:.1f} times that of 2^16")


def main() -> None:
    """All three."""
    against_enumeration()
    by_length()
    enumerated()
