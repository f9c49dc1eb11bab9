"""The exact law of a tiny base's corpus: how often p^α is right, if p is the law that its completions were drawn from.

A completion is direct with probability `direct` (and then forgets its carries with probability `forget`), or worked, column by
column, each column in one of `wordings` orders and off by one with probability `slip` (`lib.data.arithmetic`). Σ_y p(y)^α is a sum
over the two direct answers, and a product over columns for the worked solutions: different texts of a column add up, and what
follows a column depends on its carry alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from lib.data.arithmetic import columns, direct_answer


@dataclass(frozen=True)
class Law:
    """The shares of a corpus; all are probabilities, but for `wordings`, 1 to 4."""

    direct: float
    wordings: int
    forget: float = 0.6
    slip: float = 0.02

    def power(self, a: int, b: int, alpha: float) -> tuple[float, float]:
        """(Σ p(y)^α over the right completions of a+b, Σ p(y)^α over all of them)."""
        right, hasty = (direct_answer(a, b, forget) for forget in (False, True))
        chances = {right: self.direct * (1 - self.forget)}
        chances[hasty] = chances.get(hasty, 0.0) + self.direct * self.forget
        whole = sum(chance**alpha for chance in chances.values() if chance)
        worked = (1 - self.direct) ** alpha if self.direct < 1 else 0.0
        every: dict[int, float] = {0: worked}  # by the carry, over all texts so far
        carry, exact = 0, worked  # those without a slip
        for x, y in columns(a, b):
            after: defaultdict[int, float] = defaultdict(float)
            for before, weight in every.items():
                for total, chance in self._totals(x + y + before).items():
                    after[total // 10] += weight * self._texts(x, y, before, alpha) * chance**alpha
            exact *= self._texts(x, y, carry, alpha) * self._totals(x + y + carry)[x + y + carry] ** alpha
            every, carry = after, (x + y + carry) // 10
        return chances[right] ** alpha + exact, whole + sum(every.values())

    def _texts(self, x: int, y: int, carry: int, alpha: float) -> float:
        """Σ q^α over the different texts of a column's left side, each with its probability q."""
        orders = [(x, y, carry), (y, x, carry), (carry, x, y), (carry, y, x)][: self.wordings]
        return sum((count / self.wordings) ** alpha for count in Counter(orders).values())

    def _totals(self, total: int) -> dict[int, float]:
        """The probabilities of what a column's sum is said to be."""
        said = defaultdict(float, {total: 1 - self.slip})
        for off in (-1, 1):
            said[max(0, total + off)] += self.slip / 2
        return said


def accuracy(law: Law, sums: Iterable[tuple[int, int]], alpha: float) -> float:
    """How often p^α is right, the mean over sums."""
    found = [right / whole for right, whole in (law.power(a, b, alpha) for a, b in sums)]
    return sum(found) / len(found)
