"""How near a run has come to its optimum: distributions that can be listed, where every number is summed by hand."""

import numpy as np
import pandas as pd
import pytest

from lib.evaluation import optimum
from lib.evaluation.metrics import Graded
from lib.models.search import Likely

P = {"a": np.array([0.5, 0.3, 0.2]), "b": np.array([0.4, 0.4, 0.2])}  # of three completions, on two questions
RIGHT = {"a": np.array([1, 0, 1]), "b": np.array([0, 1, 1])}


def drawn(policies: dict[str, np.ndarray], count: int = 20) -> Graded:
    """Samples whose shares are exactly those of a policy."""
    rows = []
    for question, policy in policies.items():
        for i in np.repeat(np.arange(3), np.rint(count * policy).astype(int)):
            rows.append([question, np.log(P[question][i]), np.log(policy[i]), RIGHT[question][i]])
    table = pd.DataFrame(rows, columns=["problem_id", "reference_logprob", "policy_logprob", "correct"])
    return Graded(table, table.drop_duplicates("problem_id"))


FOUND = [Likely([[i] for i in range(3)], np.sort(np.log(p))[::-1], -6.0) for p in P.values()]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_way_of_sharpen_is_that_of_the_mean_log_probability(share):
    """From p a share of the way to the mode, in S_p."""
    peak = {"a": np.array([1.0, 0, 0]), "b": np.array([1.0, 0, 0])}
    policies = {name: (1 - share) * p + share * peak[name] for name, p in P.items()}
    row = {"objective": "sharpen", "alpha": 1.0}
    found = optimum.distance(drawn(P, 100), drawn(policies, 100), FOUND, list(RIGHT.values()), row)
    assert found.way.mean == pytest.approx(share) and found.certain == 1
    assert found.optimum == pytest.approx(np.log([0.5, 0.4]).mean())
    assert found.left == pytest.approx((1 - share) * np.mean([np.log(p.max()) - p @ np.log(p) for p in P.values()]))
    assert found.way.low - 1e-9 <= share <= found.way.high + 1e-9
    assert found.accuracy_base == pytest.approx((0.7 + 0.6) / 2) and found.accuracy_optimum == pytest.approx((1 + 0) / 2)


def test_what_tempered_has_left_is_the_divergence_from_its_optimum():
    """π = p² has arrived; π = p is KL(p‖p²) away, 0.1 nats and not known from any formula of the code."""
    squares = {name: p**2 / (p**2).sum() for name, p in P.items()}
    row = {"objective": "tempered", "alpha": 2.0}
    count = 38 * 9 * 50  # makes all shares whole
    there = optimum.distance(drawn(P, count), drawn(squares, count), FOUND, list(RIGHT.values()), row)
    assert there.way.mean == pytest.approx(1, abs=1e-3) and there.left == pytest.approx(0, abs=1e-4)
    exact = np.mean([squares[name] @ RIGHT[name] for name in P])
    assert there.accuracy_optimum == pytest.approx(exact) and there.accuracy_reached == pytest.approx(exact, abs=1e-4)
    start = optimum.distance(drawn(P, count), drawn(P, count), FOUND, list(RIGHT.values()), row)
    expected = np.mean([p @ (np.log(p) - np.log(squares[name])) for name, p in P.items()])
    assert start.left == pytest.approx(expected) and start.way.mean == 0


def test_a_short_search_bounds_what_is_left_from_both_sides():
    row, squares = {"objective": "tempered", "alpha": 2.0}, {name: p**2 / (p**2).sum() for name, p in P.items()}
    count = 38 * 9 * 50
    cut = [Likely(one.ids[:1], one.logprob[:1], np.log(0.4) - 1e-9) for one in FOUND]
    found = optimum.distance(drawn(P, count), drawn(squares, count), cut, [one[:1] for one in RIGHT.values()], row)
    assert found.left < 0 < found.left_at_most and found.certain == 0
    assert np.isnan(found.way.mean) and np.isnan(found.accuracy_optimum)  # what is not known is not said


def test_objectives_without_a_known_optimum_are_refused():
    for objective, alpha in (("task", 1.0), ("tempered", 0.5)):
        with pytest.raises(ValueError, match="not known here"):
            optimum.bounds(FOUND, objective, alpha)
