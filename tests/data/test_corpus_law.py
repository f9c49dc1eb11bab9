"""The exact law of a corpus, against every completion written out, and against draws."""

import itertools
from collections import Counter

import pytest

from lib.data.arithmetic import columns, direct_answer, sums, worked_solution
from lib.data.corpus_law import Law, accuracy
from lib.models import tiny


def written_out(law, a, b):
    """The probability of every completion of a+b."""
    found, count = Counter(), len(columns(a, b))
    for forget, chance in ((False, 1 - law.forget), (True, law.forget)):
        found[direct_answer(a, b, forget)] += law.direct * chance
    slips = {0: 1 - law.slip, 1: law.slip / 2, -1: law.slip / 2}
    for orders in itertools.product(range(law.wordings), repeat=count):
        for offs in itertools.product(slips, repeat=count):
            text = worked_solution(a, b, iter(orders).__next__, iter(offs).__next__)
            chance = (1 - law.direct) / law.wordings**count
            for off in offs:
                chance *= slips[off]
            found[text] += chance
    assert sum(found.values()) == pytest.approx(1)
    return found


@pytest.mark.parametrize("law", [Law(0.6, 1), Law(0.6, 4), Law(0.5, 2, forget=0.3, slip=0.2), Law(0, 3), Law(1, 1)], ids=str)
@pytest.mark.parametrize("a, b", [(7, 8), (0, 0), (55, 55), (99, 1), (123, 9), (40, 60)])
def test_the_law_is_the_sum_over_all_completions(law, a, b):
    every = written_out(law, a, b)
    for alpha in (1, 2, 4.5):
        right = sum(chance**alpha for text, chance in every.items() if text.endswith(f"\\boxed{{{a + b}}}"))
        assert law.power(a, b, alpha) == pytest.approx((right, sum(chance**alpha for chance in every.values())))


def test_the_corpus_is_right_as_often_as_its_law_says():
    drawn = list(itertools.islice(tiny.corpus(tiny.RECIPES["many_wordings"]), 20_000))
    pairs = [tuple(map(int, problem.split("+"))) for problem, _ in drawn]
    share = sum(text.endswith(f"\\boxed{{{a + b}}}") for (a, b), (_, text) in zip(pairs, drawn, strict=True)) / len(drawn)
    assert share == pytest.approx(accuracy(Law(0.6, 4), pairs, 1), abs=0.01)


def test_wordings_alone_do_not_decide():
    """The design's three points: α from 1 to 4."""
    asked = list(itertools.islice(sums("test"), 1000))
    ends = {law: [accuracy(law, asked, alpha) for alpha in (1, 4)] for law in (Law(0.6, 1), Law(0.65, 1), Law(0.6, 4, forget=0.3))}
    assert [round(end - start, 2) for start, end in ends.values()] == pytest.approx([-0.03, -0.15, 0.155], abs=0.012)
