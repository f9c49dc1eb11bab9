"""The decomposition from samples: against the truth of listed worlds, in worlds made to deceive, and its intervals."""

import dataclasses
import math

import numpy as np
import pytest

from lib.audit import decomposition, draws, families, projection, reach, samples
from lib.theory import distributions
from tests.audit import worlds

QUESTIONS, SAMPLES, STUDIES = 150, 16, 1000


def audited(world, questions=200, size=16, seed=0, **options):
    return decomposition.audit(world.table(questions, size, seed), **options)


def test_by_hand():
    """p^2 with right answers doubled, on four completions."""
    p, right = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0, 1, 1, 0])
    pi = p**2 * np.where(right, 2, 1)
    found = decomposition.listed(p, pi / pi.sum(), right, [5, 9, 9, 5])
    assert found.parameters["alpha_star"].mean != pytest.approx(2)  # alone it does what it can
    assert found.parameters_all["alpha_star"].mean == pytest.approx(2)
    assert found.shares["rest"].mean == pytest.approx(0, abs=1e-12)
    assert found.kl.mean == pytest.approx(np.sum(pi / pi.sum() * np.log(pi / pi.sum() / p)))
    assert found.accuracy["base"].mean == pytest.approx(0.5) and found.accuracy["trained"].mean == pytest.approx(0.26 / 0.43)


def test_shares_add_up_to_one_and_the_truth_is_near():
    world = worlds.SIX["all three"]
    found, truth = audited(world, 400), decomposition.decompose(world.exact)
    assert sum(share.mean for share in found.shares.values()) == pytest.approx(1)
    for name, share in found.shares.items():
        assert share.mean == pytest.approx(truth.shares[name].mean, abs=0.03) and 0.02 < share.high - share.low < 0.1, name
    assert not found.refusals and 10 < found.ess < 32


def test_a_flattened_base_is_not_called_sharpened():
    found = audited(worlds.tilted(worlds.drawn(40), (-0.5, 0.0, 0.0)))
    row = found.row()
    assert found.flattened and found.parameters["alpha_star"].high < 1
    assert row["share_sharpening"] is None and row["share_flattening"] > 0.8
    assert row["share_sharpening_last"] is None is row["share_sharpening_mean"] and row["share_flattening_last"] > 0.8
    sharpened = audited(worlds.SIX["tempered"]).row()
    assert sharpened["share_flattening"] is None and sharpened["share_sharpening"] > 0.8


def test_of_equal_models_no_share_is_claimed():
    found = audited(worlds.drawn(40))
    assert found.kl.mean == pytest.approx(0, abs=1e-12)
    assert all(share is None for share in (*found.shares.values(), *found.last.values(), *found.mean.values(), found.beyond_reach))
    assert found.refusals == {
        "all shares": "KL(π‖p) cannot be told from 0, since both models give the samples nearly the same probabilities"
    }


def test_of_models_that_differ_by_rounding_no_share_is_claimed():
    table = worlds.drawn(40).table(200, 16, 0)
    table["trained_logprob"] += 1e-3 * np.random.default_rng(0).normal(size=len(table))
    assert decomposition.audit(table.drop(columns="completion")).shares["rest"] is None


def test_lengths_that_lie_apart_are_refused():
    """The samples alone say that length explains all of KL, at 32 effective samples of 64; the truth is 77%."""
    world = worlds.apart()
    found = audited(world, 100, 32)
    truth = decomposition.decompose(world.exact)
    pool = samples.pooled(world.table(100, 32, 0), families.STANDARD)
    fitted = projection.project(pool, (2,))
    explained = -fitted.objective.mean() / draws.divergence(pool).mean()
    true = -projection.project(world.exact, (2,)).objective.mean() / truth.kl.mean
    assert reach.effective(fitted).mean() > 25 and explained > true + 0.15
    assert "of the fit lies beyond a gap" in found.refusals["length"]
    assert (
        found.shares["length"] is None and found.shares["rest"] is None and found.kl.mean == pytest.approx(truth.kl.mean, rel=0.1)
    )


def test_a_base_that_is_right_once_in_ten_million_is_beyond_reach():
    found = audited(worlds.rare())
    assert "of the fit lies beyond a gap" in found.refusals["sharpening"]  # to flatten the base would do as well
    assert found.shares["sharpening"] is None and found.beyond_reach.mean > 0.95
    within = audited(worlds.rare(0.3, accuracy=0.9))
    assert within.shares["selection"].mean > 0.5 and within.beyond_reach.mean < 0.1 and not within.refusals


def test_a_base_that_contradicts_what_pi_says_of_it_is_heard():
    """π's right answers are in wordings that the base never uses; the base is right once in fifty tries in its own."""
    world = worlds.drawn()
    own, new = (world.reward == 1) & (np.arange(60) % 2 == 0), (world.reward == 1) & (np.arange(60) % 2 == 1)
    parts = [np.where(which, world.log_p, -np.inf) for which in (world.reward == 0, own, new)]
    parts = [part - np.logaddexp.reduce(part, axis=1, keepdims=True) for part in parts]

    def mixed(*chances):
        return np.logaddexp.reduce([part + np.log(chance) for part, chance in zip(parts, chances)], axis=0)

    world = dataclasses.replace(world, log_p=mixed(0.98 - 1e-6, 0.02, 1e-6), log_pi=mixed(0.2, 1e-6, 0.8 - 1e-6))
    found = audited(world, 150, 8)
    assert found.beyond_reach is None and "questions the base finds by itself what seems as far" in found.refusals["beyond reach"]
    assert "beyond reach" not in audited(worlds.rare()).refusals


def test_lengths_that_come_near_each_other_are_refused_too():
    """π writes 20 ± 2 tokens where p writes 10: no wide gap, and yet the samples say 60% where the truth is 47%."""
    lengths = np.arange(1, 60)
    log_p = distributions.normalise(lengths * np.log(10.0) - np.cumsum(np.log(lengths)))
    log_pi = distributions.normalise(np.where(abs(lengths - 20) <= 2, 0.0, -np.inf))
    world = worlds.World(*(np.tile(one, (5, 1)) for one in (log_p, log_pi, lengths % 2, lengths.astype(float))))
    assert "sharpening" in audited(world, 100, 32).refusals


@pytest.mark.parametrize("right", [0, 1])
def test_what_does_not_vary_has_no_parameter(right):
    table = worlds.SIX["tempered"].table(60, 8, 0).drop(columns="completion")
    found = decomposition.audit(table.assign(length=20, correct=right))
    assert found.parameters["gamma_star"] is None is found.parameters["lambda_star"]
    assert found.shares["length"].mean == pytest.approx(0, abs=1e-9) and found.shares["sharpening"].mean > 0.8


def test_a_wrong_greedy_answer_is_nothing_to_a_model_that_is_always_right():
    table = worlds.always_right().table(100, 16, 0)
    greedy = table.drop_duplicates("problem_id").assign(completion="unseen", base_logprob=math.log(0.1), correct=0, length=5)
    assert "selection" not in decomposition.audit(table, greedy=greedy).refusals
    some = greedy.iloc[:50].assign(correct=1, base_logprob=math.log(0.5))
    assert "greedy completions that no sample shows would hold" in decomposition.audit(table, greedy=some).refusals["selection"]


def test_small_tables_are_not_taken_for_badly_sampled_ones():
    """Two to four questions: the mean of p/m is off by chance, and its error badly known."""
    world = worlds.SIX["all three"]
    for questions in (2, 3, 4):
        for seed in range(60):
            samples.refuse_other_densities(samples.pooled(world.table(questions, 16, seed), families.STANDARD))


def test_a_model_that_is_always_right_gets_a_bound():
    found = audited(worlds.always_right())
    value = found.parameters["lambda_star"]
    assert value.mean == math.inf == value.high and 1 < value.low < 10
    assert found.shares["selection"].mean > 0.9


def test_a_draw_in_which_the_model_is_always_right_counts_as_infinity():
    """Two questions of 60 have one wrong answer each: one draw in seven has neither, and an honest interval has no upper end."""
    table = worlds.always_right().table(60, 16, 0)
    for row in table[(table["source"] == "base") & (table["correct"] == 0)].drop_duplicates("problem_id").index[:2]:
        twin = table[(table["source"] == "trained") & (table["problem_id"] == table.loc[row, "problem_id"])].index[0]
        table.loc[twin, ["base_logprob", "correct", "length"]] = table.loc[row, ["base_logprob", "correct", "length"]].tolist()
        table.loc[[row, twin], "trained_logprob"] = -3.0
    found = decomposition.audit(table.drop(columns="completion")).parameters["lambda_star"]
    assert math.isfinite(found.mean) and math.isfinite(found.low) and found.high == math.inf


def test_too_few_effective_samples_are_refused():
    found = audited(worlds.SIX["all three"], 100, 2)
    assert found.shares["rest"] is None and "effective samples in one of ten questions" in found.refusals["sharpening"]


def test_a_likely_completion_that_no_sample_shows_is_refused():
    table = worlds.SIX["tempered"].table(100, 16, 0)
    greedy = table.drop_duplicates("problem_id").assign(completion="unseen", base_logprob=math.log(0.3), correct=1, length=5)
    found = decomposition.audit(table, greedy=greedy)
    assert "greedy completions that no sample shows would hold" in found.refusals["sharpening"]
    shown = decomposition.audit(table, greedy=table.drop_duplicates("problem_id"))
    assert "sharpening" not in shown.refusals


@pytest.mark.parametrize("seed", range(4))
def test_without_log_pi_of_base_samples_what_cannot_be_carried_is_refused(seed):
    """A base that is rarely right, few samples: p's own samples cannot be tilted to where π is."""
    world = [worlds.rare(0.02), worlds.rare(0.1), worlds.rare(1e-7), worlds.SIX["all three"]][seed]
    table = world.table(60, 6, seed)
    table.loc[table["source"] == "base", "trained_logprob"] = np.nan
    found = decomposition.audit(table)
    assert found.refusals and found.beyond_reach is None and found.shares["rest"] is None


def test_without_log_pi_of_base_samples_the_base_stands_for_itself():
    world = worlds.SIX["all three"]
    table = world.table(300, 24, 0)
    table.loc[table["source"] == "base", "trained_logprob"] = np.nan
    found, truth = decomposition.audit(table), decomposition.decompose(world.exact)
    assert found.kl.low < truth.kl.mean < found.kl.high
    for name, share in found.shares.items():
        assert share.low < truth.shares[name].mean < share.high, name
    assert list(found.refusals) == ["beyond reach"]


def test_a_feature_of_ones_own_takes_its_share():
    world = worlds.tilted(worlds.drawn(40), (0.5, 0.0, 0.0))
    table = world.table(200, 16, 0)
    even = families.Feature("even", "theta_even", lambda t: t["length"] % 2 == 0)
    found = decomposition.audit(table, (*families.STANDARD, even))
    assert list(found.shares) == ["sharpening", "selection", "length", "even", "rest"]
    assert found.shares["even"].low < 0.01 < 0.05 > found.shares["even"].mean
    assert "share_even_high" in found.row()


def test_what_a_fit_owes_to_chance_is_taken_off():
    """No feature explains anything here; fitted to 40 questions, each seems to, by 1% of KL in the sum."""
    found = [audited(worlds.SIX["none"], 40, 16, seed).shares for seed in range(24)]
    owed = [sum(shares[name].mean for name in ("sharpening", "selection", "length")) for shares in found]
    assert abs(np.mean(owed)) < 0.005
    assert np.mean([shares[name].low <= 0 for shares in found for name in ("sharpening", "selection", "length")]) > 0.95


def test_the_interval_of_the_share_beyond_reach_is_as_wide_as_it_varies():
    """The fit varies with the questions, and with it what is beyond reach: with a fixed fit it would be half as wide."""
    rare, often = worlds.rare(1e-4), worlds.rare(0.3, seed=4)
    world = worlds.World(
        *(np.concatenate([getattr(rare, f)[:3], getattr(often, f)]) for f in ("log_p", "log_pi", "reward", "length"))
    )
    tables = [world.table(150, 16, seed) for seed in range(40)]
    found = [decomposition.decompose(samples.pooled(one, families.STANDARD), orders=False).beyond_reach for one in tables]
    error = np.mean([value.high - value.low for value in found]) / (2 * 1.96)
    assert error == pytest.approx(np.std([value.mean for value in found]), rel=0.25)


def test_one_newton_step_is_nearly_the_projection_of_a_draw():
    """The bootstrap's θ, objective and accuracy of ten draws against projections made from those questions."""
    table = worlds.SIX["all three"].table(150, 16, 0)
    pool = samples.pooled(table, families.STANDARD)
    drawn, which = draws.Draws(pool, families.STANDARD, None), (0, 1, 2)
    step, start = drawn._steps(which), drawn.family(which).theta
    for b in range(10):
        picks = np.repeat(np.arange(150), np.round(drawn.weights[b] * 150).astype(int))
        whole = projection.project(pool._replace(**{f: getattr(pool, f)[picks] for f in pool._fields[:7]}), which)
        moved = np.abs(whole.theta - start)
        assert np.abs(start + step[b] - whole.theta).max() < 0.05 * moved.max() + 0.01
        plain = drawn.weights[b] @ drawn.family(which).objective + 0.5 * (drawn.weights[b] @ drawn.family(which).gradient) @ step[b]
        assert plain == pytest.approx(whole.objective.mean(), abs=2e-3)


def study(world, names, orders=False, questions=QUESTIONS, size=SAMPLES, studies=STUDIES):
    """How often the intervals of many studies of one world hold its true values."""
    truth, held = named(decomposition.decompose(world.exact).row()), dict.fromkeys(names, 0)
    for seed in range(studies):
        pool = samples.pooled(world.table(questions, size, seed), families.STANDARD)
        found = named(decomposition.decompose(pool, orders=orders).row())
        for name in names:
            held[name] += found[f"{name}_low"] <= truth[name] <= found[f"{name}_high"]
    return {name: count / studies for name, count in held.items()}


def named(row):
    """A row with the share of log p under one name, whether it sharpens or flattens."""
    found = dict(row)
    for name in [name for name in row if name.startswith("share_sharpening")]:
        other = row[name.replace("sharpening", "flattening")]
        found[name] = other if row[name] is None else row[name]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", worlds.SIX)
def test_intervals_of_parameters_hold_the_truth_as_often_as_they_say(name):
    names = [f"{parameter}_star{end}" for parameter in ("alpha", "lambda", "gamma") for end in ("", "_all")]
    held = study(worlds.SIX[name], names)
    print(name, held)
    assert all(0.93 <= rate <= 0.97 for rate in held.values()), held


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "zero"),
    {
        "tempered": ["selection", "length"],
        "task": ["sharpening_last", "length"],
        "none": ["sharpening", "selection", "length"],
    }.items(),
)
def test_a_share_that_is_truly_zero_is_held(name, zero):
    held = study(worlds.SIX[name], [f"share_{one}" for one in zero], orders=name == "task")
    print(name, held)
    assert all(rate >= 0.93 for rate in held.values()), held


@pytest.mark.slow
def test_the_share_beyond_reach_is_held():
    """A fifth of the kinds of questions is right once in 10,000 tries, the others three times in ten."""
    rare, often = worlds.rare(1e-4), worlds.rare(0.3, seed=4)
    world = worlds.World(
        *(np.concatenate([getattr(rare, f)[:3], getattr(often, f)]) for f in ("log_p", "log_pi", "reward", "length"))
    )
    truth = decomposition.decompose(world.exact).beyond_reach.mean
    found = [
        decomposition.decompose(samples.pooled(world.table(150, 16, seed), families.STANDARD), orders=False) for seed in range(300)
    ]
    told = [one.beyond_reach for one in found if one.beyond_reach is not None and "sharpening" not in one.refusals]
    rate = np.mean([one.low <= truth <= one.high for one in told])
    print("beyond reach", truth, rate, len(told))
    assert len(told) > 200 and 0.91 <= rate <= 0.98
