"""Random answers and random unequal pairs: nothing crashes, hangs or is executed, and nothing unequal is paid.

The small sizes run with every `make test`, the large ones with `pytest -m slow tests/rewards/verifier/test_fuzz.py`."""

import random
import time

import pytest

from lib.rewards import verifier
from lib.rewards.verifier import verdicts, workers

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WORDS = [r"\text{yes}", "(A)", r"\text{even}", "Monday", r"\text{no solution}"]
UNITS = [r"\%", r"^\circ", r"\text{ cm}", " km/h", r"\$", r"\text{ square feet}", "_2", "_{16}", " apples"]
JUNK = [
    r"\boxed{",
    "}",
    "{",
    r"\frac",
    "!!",
    "^^",
    r"\input{x}",
    r"\def\x{1}",
    "٣",
    "\0",
    r"\begin{pmatrix}1&2\end{pmatrix}",
    "=",
    "99999!",
]


class Grammar:
    """Random LaTeX: mostly expressions that SymPy can read, then sets, tuples, units and words, then plain rubbish."""

    def __init__(self, seed: int, target: str = ""):
        self.pick = random.Random(seed)
        # each would leave the file `target` behind, were it run
        payloads = ["__import__('os').system('touch {}')", "open('{}','w')", "sqrt(open('{}','w'))", "$(touch {})"]
        self.payloads = [payload.format(target) for payload in payloads]

    def number(self) -> str:
        draw = self.pick
        plain = str(draw.choice([draw.randint(0, 12), draw.randint(0, 999), draw.randint(10**9, 10**30)]))
        return draw.choice([plain, plain, plain, f"{draw.randint(0, 99)}.{draw.randint(0, 9999)}", f"-{plain}"])

    def expression(self, depth: int) -> str:
        draw = self.pick
        if depth == 0:
            return draw.choice([self.number(), self.number(), "x", "y", r"\pi", "e", "n", r"\alpha"])
        a, b = self.expression(depth - 1), self.expression(depth - 1)
        forms = [rf"\frac{{{a}}}{{{b}}}", rf"\sqrt{{{a}}}", rf"{a}+{b}", rf"{a}-({b})", rf"({a})({b})", rf"{a}\cdot {b}"]
        forms += [rf"({a})^{{{draw.randint(-3, 9)}}}", rf"\{draw.choice(['sin', 'cos', 'tan', 'ln'])}({a})", rf"|{a}|"]
        forms += [rf"\sqrt[{draw.randint(2, 5)}]{{{a}}}", rf"\binom{{{draw.randint(0, 30)}}}{{{draw.randint(0, 9)}}}", rf"{a}!"]
        return draw.choice(forms)

    def answer(self) -> str:
        draw, some = self.pick, [self.expression(self.pick.randint(0, 2)) for _ in range(3)]
        kind = draw.random()
        if kind < 0.62:
            return self.expression(draw.randint(1, 3))
        if kind < 0.72:
            return draw.choice("([") + ", ".join(some[: draw.randint(2, 3)]) + draw.choice(")]")
        if kind < 0.8:
            return draw.choice(
                [rf"\{{{', '.join(some)}\}}", rf"({some[0]}, \infty) \cup [{some[1]}, {some[2]}]", r" \text{ or } ".join(some)]
            )
        if kind < 0.88:
            sign = draw.choice(["=", "<", r"\le ", r"\ne ", "> "])
            return draw.choice([f"x {sign} {some[0]}", f"{some[0]} {sign} {some[1]}", rf"{some[0]} < x \le {some[1]}"])
        if kind < 0.94:
            return draw.choice([some[0] + draw.choice(UNITS), draw.choice(WORDS)])
        text = draw.choice([*some, *self.payloads])
        at = draw.randint(0, len(text))
        return text[:at] + draw.choice(JUNK) + text[at:] if draw.random() < 0.5 else text


@pytest.mark.parametrize("count", [300, pytest.param(100_000, marks=pytest.mark.slow)])
def test_random_answers_neither_crash_nor_hang_nor_run(count, tmp_path):
    """Half of them against a gold that is another random answer, half against one that is themselves, written differently."""
    target = tmp_path / "ran"
    grammar, asked, started = Grammar(count, str(target)), 0, time.perf_counter()
    statuses: dict[str, int] = dict.fromkeys(verifier.STATUSES, 0)
    crashed: list[list[str]] = []
    for start in range(0, count, 500):
        answers = [grammar.answer() for _ in range(min(500, count - start))]
        golds = [f"0+({answer})" if i % 2 else grammar.expression(2) for i, answer in enumerate(answers)]
        strict = bool(start // 500 % 2)
        asked += sum(verdicts._compare(gold, answer, strict) is None for gold, answer in zip(golds, answers, strict=True))
        found = verifier.check_all([rf"\boxed{{{answer}}}" for answer in answers], golds, strict)
        crashed += [pair for *pair, verdict in zip(golds, answers, found, strict=True) if verdict.status == "crash"]
        for verdict in found:
            statuses[verdict.status] += 1
    seconds = time.perf_counter() - started
    print(f"{count} answers, {asked} of them to SymPy, in {seconds:.0f} s: {statuses}")
    assert not crashed and asked > 0.3 * count and not target.exists()
    assert statuses["timeout"] < 0.01 * count  # each of them was stopped, within workers.DEADLINE
    assert seconds < 60 + workers.DEADLINE * (statuses["timeout"] + 1) + 0.05 * count


def in_base(number: int, base: int) -> str:
    """The digits of a number that is not negative."""
    digits = DIGITS[number % base]
    return digits if number < base else in_base(number // base, base) + digits


def unequal(draw: random.Random) -> tuple[str, str]:
    """(gold, answer) that differ by construction, however much alike they are."""
    n, k, m = draw.randint(17, 10**6), draw.randint(2, 60), draw.randint(2, 99)
    big, prime = draw.randint(10**12, 10**40), draw.choice([2, 3, 5, 7, 11, 13])
    base, other = draw.sample(range(2, 17), 2)
    low, high = sorted(draw.sample(range(-50, 50), 2))
    tuple_of = draw.sample(range(-99, 99), 3)
    turned = [*tuple_of[1:], tuple_of[0]]
    left, right = draw.choice("(["), draw.choice(")]")
    other_bracket = {"(": "[", "[": "(", ")": "]", "]": ")"}
    number = in_base(n, base)
    pairs = [
        (f"{big}", f"{big + 1}"),
        (f"{m}^{{{k}}}-1", f"{m}^{{{k}}}"),
        (f"{m}^{{{k}}}", f"{m**k + draw.choice([-1, 1])}"),
        (rf"\frac{{{m}^{{{k}}}-1}}{{{prime}}}", rf"\frac{{{m}^{{{k}}}}}{{{prime}}}"),
        (rf"1-\frac{{1}}{{{m}^{{{k}}}}}", rf"1-\frac{{1}}{{{m}^{{{k + 1}}}}}"),
        (rf"\frac{{{n}}}{{{big}}}", rf"\frac{{{n + 1}}}{{{big}}}"),
        (rf"\sqrt{{{prime}}}", rf"\sqrt{{{prime}}}+10^{{-{k}}}"),
        (rf"{n}\sqrt{{{prime}}}", rf"{n + 1}\sqrt{{{prime}}}"),
        (rf"{n}+\sqrt{{{prime}}}", rf"{n}-\sqrt{{{prime}}}"),
        (rf"{n}\pi", rf"{n}\pi + \frac{{1}}{{{big}}}"),
        (f"x^{k}+{n}", f"x^{{{k}}}+{n + 1}"),
        (f"{m}x-{n}", f"{m}x+{n}"),
        (f"{big}", f"-{big}"),
        (rf"-\frac{{{n}}}{{{m}}}", rf"\frac{{{n}}}{{{m}}}"),
        (rf"\frac{{1}}{{{k}!}}", rf"\frac{{1}}{{{k + 1}!}}"),
        (f"{number}_{{{base}}}", f"{in_base(n + 1, base)}_{{{base}}}"),
        (f"{number}_{{{base}}}", f"{number}_{{{other}}}"),
        (f"{number}_{{{base}}}", f"-{number}_{{{base}}}"),
        (f"{number}_{{{base}}}", number if base != 10 else f"{n + 1}"),
        (f"{left}{low},{high}{right}", f"{other_bracket[left]}{low},{high}{right}"),
        (f"{left}{low},{high}{right}", f"{left}{low},{high}{other_bracket[right]}"),
        (f"{left}{low},{high}{right}", f"{left}{low - 1},{high}{right}"),
        (rf"({low},\infty)", rf"x \ge {low}"),
        (rf"({low},\infty)", rf"x > {low}+10^{{-{k}}}"),
        (rf"(-\infty,{low})\cup({high},\infty)", rf"(-\infty,{low})\cup[{high},\infty)"),
        (str(tuple(tuple_of)), str(tuple(turned))),
        (str(tuple(tuple_of)), str(tuple(-t if t else 1 for t in tuple_of))),
        (rf"\{{{low},{high}\}}", rf"\{{{low},{high + 1}\}}"),
        (rf"{m}x+{k}y={n}", rf"{m}x+{k}y={n + 1}"),
        (f"{n}.5", f"{n}.50000001"),
    ]
    return draw.choice(pairs)


@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=pytest.mark.slow)])
def test_unequal_pairs_are_never_paid(count):
    draw = random.Random(count)
    pairs = [unequal(draw) for _ in range(count)]
    for strict in (True, False):
        for golds, answers in (zip(*pairs, strict=True), zip(*[pair[::-1] for pair in pairs], strict=True)):
            found = verifier.check_all([rf"\boxed{{{answer}}}" for answer in answers], golds, strict)
            paid = [pair for pair, verdict in zip(pairs, found, strict=True) if verdict.correct]
            assert not paid, paid[:5]
            assert not any(verdict.status in ("crash", "timeout") for verdict in found)
