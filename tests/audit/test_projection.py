"""Projections against brute force: worlds whose completions are all listed, and sequence models by dynamic programming."""

import dataclasses

import numpy as np
import pytest
from scipy import optimize

from lib.audit import decomposition, projection, samples
from lib.theory import distributions, sequences
from tests.audit import worlds
from tests.audit.worlds import World

THETAS = {
    "p^α": (1.0, 0.0, 0.0),
    "flattened": (-0.4, 0.0, 0.0),
    "p^α·exp(λr)": (0.5, 2.0, 0.0),
    "longer": (0.0, 0.0, 0.2),
    "all": (0.3, 1.5, 0.1),
}


def brute(world: World, which: tuple[int, ...]) -> np.ndarray:
    """log q [K, N] of the projection: root-finding on the means, by definition and without this kit's algebra."""
    features = np.stack([world.log_p, world.reward, world.length], axis=2)[..., list(which)]
    pi = np.exp(world.log_pi)

    def log_q(theta):
        return distributions.normalise(world.log_p + features @ theta)

    def apart(theta):
        q = np.exp(log_q(theta))
        return ((q - pi)[..., None] * features).sum(axis=1).mean(axis=0)

    found = optimize.root(apart, np.zeros(len(which)), tol=1e-14)
    assert np.abs(apart(found.x)).max() < 1e-10
    return log_q(found.x)


def divergences(world: World, one: np.ndarray, other: np.ndarray) -> float:
    return float(distributions.kl(one, other).mean())


@pytest.mark.parametrize("theta", THETAS.values(), ids=THETAS)
@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_shares_and_accuracies_are_those_of_brute_force(theta, noise):
    world = worlds.tilted(worlds.drawn(), theta, noise)
    found = decomposition.decompose(world.exact)
    q = [world.log_p, *(brute(world, tuple(range(k))) for k in (1, 2, 3))]
    whole = divergences(world, world.log_pi, world.log_p)
    assert found.kl.mean == pytest.approx(whole, abs=1e-9)
    steps = [divergences(world, after, before) for before, after in zip(q, q[1:])]  # KL(q₁‖p), KL(q₂‖q₁), KL(q₃‖q₂)
    rest = divergences(world, world.log_pi, q[3])
    assert sum(steps) + rest == pytest.approx(whole, abs=1e-9)  # Pythagoras
    shares = [share.mean * found.kl.mean for share in found.shares.values()]
    assert shares == pytest.approx([*steps, rest], abs=1e-9)
    right = [distributions.expected(one, world.reward).mean() for one in (world.log_p, q[1], brute(world, (0, 2)), world.log_pi)]
    names = ("base", "sharpened", "sharpened_length", "trained")
    assert [found.accuracy[name].mean for name in names] == pytest.approx(right, abs=1e-9)
    last = divergences(world, q[3], brute(world, (1, 2)))
    assert found.last["sharpening"].mean * whole == pytest.approx(last, abs=1e-9)


@pytest.mark.parametrize("theta", THETAS.values(), ids=THETAS)
def test_parameters_of_a_member_of_the_family_are_found(theta):
    found = decomposition.decompose(worlds.tilted(worlds.drawn(), theta).exact)
    got = [value.mean for value in found.parameters_all.values()]
    assert got == pytest.approx([1 + theta[0], theta[1], theta[2]], abs=1e-9)
    assert found.shares["rest"].mean == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("chance", [0.02, 0.01, 1e-4, 1e-7])
@pytest.mark.parametrize("accuracy", [0.6, 0.9, 0.999])
def test_a_base_that_is_rarely_right_is_far_and_the_way_is_found(chance, accuracy):
    """Newton's first step would go far too long: where p is right once in fifty tries, the quadratic model says nothing."""
    world = worlds.rare(chance, accuracy=accuracy)
    found = decomposition.decompose(world.exact)
    lam = np.log(accuracy / (1 - accuracy)) - np.log(chance / (1 - chance))
    assert projection.project(world.exact, (1,)).theta[1] == pytest.approx(lam, abs=1e-6)
    assert found.parameters_all["lambda_star"].mean == pytest.approx(lam, abs=1e-5)
    assert not found.refusals and all(share.mean > -1e-9 for share in (*found.shares.values(), *found.last.values()))
    assert found.shares["rest"].mean == pytest.approx(0, abs=1e-8)


def test_a_way_of_a_hundred_nats_is_found():
    """As for a model that was taught what its base cannot do: all of p's weight is on one side, and has no variance there."""
    world = worlds.rare(1e-43)
    assert projection.project(world.exact, (1,)).theta[1] == pytest.approx(np.log(0.6 / 0.4) + 43 * np.log(10), abs=1e-6)


def test_the_mean_over_orders_is_that_of_all_orders_written_out():
    world = worlds.tilted(worlds.drawn(), (0.3, 1.5, 0.1), 0.5)
    found = decomposition.decompose(world.exact)
    value = {which: -projection.project(world.exact, which).objective.mean() for which in
             [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]}  # fmt: skip
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)]
    gains = [value[tuple(sorted(o[: o.index(0) + 1]))] - value[tuple(sorted(o[: o.index(0)]))] for o in orders]
    assert found.mean["sharpening"].mean * found.kl.mean == pytest.approx(np.mean(gains), abs=1e-9)
    assert sum(share.mean for share in found.mean.values()) + found.shares["rest"].mean == pytest.approx(1, abs=1e-9)


def chain(stop: float, seed: int) -> sequences.SequenceModel:
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.ones(2), size=3) * (1 - stop)
    return dataclasses.replace(
        sequences.markov([*rows[2], stop], [[*row, stop] for row in rows[:2]]), reward=np.array([1.0, 0.0, 0.0])
    )


def test_of_sequence_models_the_partition_function_is_that_of_dynamic_programming():
    base, most = chain(0.3, 0), 9
    listed = list(sequences.completions(base, most))
    log_p = np.array([[one.log_p for one in listed]])
    reward = np.array([[one.reward for one in listed]])
    length = np.array([[float(len(one.tokens)) for one in listed]])
    for alpha, beta_inv in ((2.5, 0.0), (1.0, 1.5), (0.7, 3.0)):
        exact = sequences.Sharpened(base, alpha, most, beta_inv)
        log_pi = distributions.normalise(alpha * log_p + beta_inv * reward)
        found = projection.project(World(log_p, log_pi, reward, length).exact, (0, 1))
        assert found.theta[:2] == pytest.approx([alpha - 1, beta_inv], abs=1e-8)
        whole = found.moments.log_z[0] + found.theta[:2] @ [log_p.mean(), reward.mean()]
        assert whole == pytest.approx(exact.log_partition, abs=1e-9)
        accuracy, mean = exact.moments()[:2]
        assert found.moments.mean[0, :2] + [log_p.mean(), reward.mean()] == pytest.approx([mean, accuracy], abs=1e-9)


def test_a_model_that_is_always_right_is_at_infinity_with_a_finite_bound():
    world = worlds.drawn()
    always = np.where(world.reward == 1, world.log_p, -np.inf)
    world = dataclasses.replace(world, log_pi=distributions.normalise(always))
    found = decomposition.decompose(world.exact)
    assert found.parameters["lambda_star"].mean == np.inf == found.parameters["lambda_star"].high
    assert 0 < found.parameters["lambda_star"].low < 10
    own = -np.log((np.exp(world.log_p) * world.reward).sum(axis=1)).mean()  # KL(p given right ‖ p)
    assert found.kl.mean == pytest.approx(own, abs=1e-9)
    assert found.shares["rest"].mean == pytest.approx(0, abs=1e-9)


def test_the_likeliest_string_alone_is_at_infinity_too():
    world = worlds.drawn()
    world = dataclasses.replace(world, log_pi=distributions.mode(world.log_p))
    found = projection.project(world.exact, (0,))
    assert found.limit[0] > 0 and found.objective.mean() == pytest.approx(world.log_p.max(axis=1).mean(), abs=1e-6)


def test_a_limit_in_a_direction_that_is_no_axis():
    """π draws only what is largest in r − T/10: neither always right nor always short."""
    world = worlds.drawn()
    score = world.reward - world.length / 10
    world = dataclasses.replace(world, log_pi=distributions.mode(score))
    found = projection.project(world.exact, (1, 2))
    assert found.limit[1] > 0 > found.limit[2]
    drawn = np.isfinite(world.log_pi)
    assert found.pool.allowed[drawn].all() and not found.pool.allowed.all()
    own = -np.log(np.where(found.pool.allowed, np.exp(world.log_p), 0.0).sum(axis=1)).mean()
    assert -found.objective.mean() == pytest.approx(own, abs=1e-9)


def test_few_samples_per_question_are_biased_and_the_jackknife_takes_it_off():
    """log Z of p^1.8 from 6 + 6 samples: the plain estimate is too low by 0.06 nats."""
    world = worlds.tilted(worlds.drawn(40), (0.5, 1.5, 0.1))
    theta = np.array([0.8, 0.0, 0.0])
    truth = (distributions.log_partition(1.8 * world.log_p) - 0.8 * world.log_p.mean(axis=1)).mean()
    pool = samples.pooled(world.table(4000, 6, 0), decomposition.STANDARD)
    shift = (theta * pool.centre).sum(axis=1).mean() - 0.8 * world.log_p.mean(axis=1).mean()
    plain, corrected = (projection.moments(pool, theta, which).log_z.mean() + shift for which in (False, True))
    assert abs(corrected - truth) < 0.3 * abs(plain - truth)


def test_left_out_sums_are_those_of_a_loop():
    pool = samples.pooled(worlds.tilted(worlds.drawn(), (0.5, 0, 0)).table(3, 4, 0, trained=6), decomposition.STANDARD)
    values = np.random.default_rng(0).random((*pool.source.shape, 2))
    found = pool.left_out(values)
    for q in range(3):
        for i in range(10):
            own = pool.source[q] == pool.source[q, i]
            rest = values[q, own & (np.arange(10) != i)].sum(axis=0) * own.sum() / (own.sum() - 1)
            assert found[q, i] == pytest.approx(rest + values[q, ~own].sum(axis=0))
