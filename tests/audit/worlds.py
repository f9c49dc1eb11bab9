"""Worlds whose truth is known: kinds of questions, each with all of its completions listed, from which samples are drawn."""

import dataclasses

import numpy as np
import pandas as pd

from lib.audit import projection, samples
from lib.audit.projection import Pool
from lib.theory import distributions


@dataclasses.dataclass(frozen=True)
class World:
    """K kinds of questions, equally likely, N completions each: log p and log π [K, N], r and T [K, N]."""

    log_p: np.ndarray
    log_pi: np.ndarray
    reward: np.ndarray
    length: np.ndarray

    @property
    def exact(self) -> Pool:
        """The whole world, as a pool."""
        return samples.exact(self.log_p, self.log_pi, self.reward, self.length)

    def table(self, questions: int, size: int, seed: int, trained: int | None = None) -> pd.DataFrame:
        """Samples of p and of π on questions of random kinds."""
        rng = np.random.default_rng(seed)
        kinds = rng.integers(len(self.log_p), size=questions)
        parts = []
        for name, log_q, count in (("base", self.log_p, size), ("trained", self.log_pi, trained or size)):
            cumulative = np.exp(log_q[kinds]).cumsum(axis=1)
            uniform = rng.random((questions, count)) * cumulative[:, -1:]
            picks = (uniform[:, :, None] > cumulative[:, None, :]).sum(axis=2)
            rows, columns = np.repeat(kinds, count), picks.ravel()
            found = {"base_logprob": self.log_p, "trained_logprob": self.log_pi, "correct": self.reward, "length": self.length}
            part = pd.DataFrame({key: values[rows, columns] for key, values in found.items()})
            part = part.assign(problem_id=np.repeat(np.arange(questions), count).astype(str), source=name)
            parts.append(part.assign(completion=columns.astype(str)))
        return pd.concat(parts, ignore_index=True)


def drawn(kinds: int = 12, completions: int = 60, seed: int = 0, spread: float = 1.0) -> World:
    """A base with random log-probabilities, rewards and lengths; π is p until `tilted` says otherwise."""
    rng = np.random.default_rng(seed)
    length = rng.integers(1, 20, (kinds, completions)).astype(float)
    log_p = distributions.normalise(spread * rng.normal(size=(kinds, completions)) - 0.05 * length)
    reward = (rng.random((kinds, completions)) < rng.uniform(0.1, 0.9, (kinds, 1))).astype(float)
    return World(log_p, log_p, reward, length)


def tilted(world: World, theta: tuple[float, float, float], noise: float = 0.0, seed: int = 1) -> World:
    """π ∝ p·exp(θ·f), times what no feature explains: `noise` nats per completion."""
    other = noise * np.random.default_rng(seed).normal(size=world.log_p.shape)
    tilt = theta[0] * world.log_p + theta[1] * world.reward + theta[2] * world.length + other
    return dataclasses.replace(world, log_pi=distributions.normalise(world.log_p + tilt))


def apart(kinds: int = 5) -> World:
    """Lengths of p are Poisson around 10, five ways to write each, and π always writes 25 tokens: nothing lies between."""
    lengths = np.arange(1, 60)
    log_p = lengths * np.log(10.0) - 10 - np.cumsum(np.log(lengths))
    log_p = distributions.normalise(np.repeat(log_p, 5) + np.tile([0.4, 0.2, 0.0, -0.2, -0.4], len(lengths)))
    length = np.repeat(lengths, 5).astype(float)
    log_pi = distributions.normalise(np.where(length == 25, log_p, -np.inf))
    reward = (np.arange(len(length)) % 2).astype(float)
    return World(*(np.tile(values, (kinds, 1)) for values in (log_p, log_pi, reward, length)))


def rare(chance: float = 1e-7, seed: int = 3, accuracy: float = 0.6) -> World:
    """The base is right once in ten million tries; π is right in six of ten, in the base's own wordings."""
    world = drawn(seed=seed)
    right = world.reward == 1
    parts = [distributions.normalise(np.where(which, world.log_p, -np.inf)) for which in (right, ~right)]
    log_p, log_pi = (np.where(right, parts[0] + np.log(one), parts[1] + np.log1p(-one)) for one in (chance, accuracy))
    return dataclasses.replace(world, log_p=log_p, log_pi=log_pi)


def always_right(seed: int = 0) -> World:
    """π is p given a right answer."""
    world = drawn(seed=seed)
    return dataclasses.replace(world, log_pi=distributions.normalise(np.where(world.reward == 1, world.log_p, -np.inf)))


def known(theta: tuple[float, float, float], noise: float, seed: int = 0) -> World:
    """A world of 40 kinds of questions whose projection on all three features is exactly `theta`, and whose π has `noise` nats per
    completion that no feature explains. Where a last part of `theta` is 0, that of the smaller families is the same."""
    world = tilted(drawn(40, seed=seed), theta, noise)
    for _ in range(60):
        off = projection.project(world.exact, (0, 1, 2)).theta - theta
        if np.abs(off).max() < 1e-11:
            return world
        tilt = off[0] * world.log_p + off[1] * world.reward + off[2] * world.length
        world = dataclasses.replace(world, log_pi=distributions.normalise(world.log_pi - tilt))
    raise AssertionError("the world does not settle")


SIX = {
    "tempered": known((1.0, 0.0, 0.0), 0.3),
    "task": known((0.0, 2.0, 0.0), 0.3),
    "all three": known((0.5, 1.5, 0.1), 0.5),
    "none": known((0.0, 0.0, 0.0), 0.7),
    "flattened, right more often": known((-0.5, 2.0, 0.0), 0.3),
    "hardly moved": known((0.2, 0.3, 0.02), 0.15),
}
