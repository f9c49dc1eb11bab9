"""Two expressions at a few random points: where their values differ they are not equal, where all agree they are.

A fast path before Math-Verify, for the everyday part of LaTeX: numbers, letters, arithmetic, fractions, roots, powers and a few
functions of an argument in brackets. Floating-point arithmetic only, so nothing can take long; whatever else an expression holds,
and whatever two readers could read in two ways (`1/2x`, `2^34`, `f(x)`, `\\log`), is left to Math-Verify.
"""

import cmath
import random
import re

CLOSE = 2e-6  # relative: about six significant digits, for a decimal against what no decimal can say exactly
EXACT = 1e-10  # relative: rounding errors of double precision, with room
NOISE = 1e-11  # relative to the largest number on the way
HUGE = 1e200
CONSTANTS = {"pi": cmath.pi, "e": cmath.e, "i": 1j}
FUNCTIONS = {name: getattr(cmath, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp")}
FUNCTIONS |= {"ln": cmath.log} | {f"arc{name}": getattr(cmath, f"a{name}") for name in ("sin", "cos", "tan")}
AMBIGUOUS = re.compile(
    r"(?<![\\A-Za-z])[A-Za-z]*[fgh] ?\(|/ ?[\d.]+ ?[A-Za-z\\(]|/ ?[A-Za-z] ?[A-Za-z\\(]"
    r"|\^ ?\d\d|\^ ?-|[\d.] +[\d.]|\) ?\d|\}\d"
)
TOKEN = re.compile(r" *(?:(\d+(?:\.\d*)?|\.\d+)|\\([A-Za-z]+)|([A-Za-z])|([-+*/^(){}\[\]]))")


class _Unsupported(ValueError):
    """The expression holds something that only Math-Verify reads."""


def same(gold: str, answer: str) -> bool | None:
    """Whether two expressions are equal; None if that is for Math-Verify to say.

    They differ if they do at a point where all variables are positive; they are equal if they agree at such points and at
    points where some are negative (where √x² = x would fail). In a decimal, six digits are enough.
    """
    try:
        left, right = _Reader(gold), _Reader(answer)
        names = left.names | right.names
        close = CLOSE if "." in gold or "." in answer else EXACT
        points = random.Random(2604)
        for lowest in (0.3, 0.5, 0.7, -1.9, -2.3):
            point = {name: lowest + points.random() for name in sorted(names)}
            one, other = left.value(point), right.value(point)
            difference, size = abs(one - other), max(abs(one), abs(other))
            if not difference <= close * size:
                noise = NOISE * max(left.largest, right.largest)  # what cancellation may leave behind
                return False if lowest > 0 and max(noise, 1e3 * EXACT * size) < difference < HUGE else None
        return True
    except (_Unsupported, ArithmeticError, ValueError, RecursionError):
        return None


class _Reader:
    """A recursive-descent reader: parsed anew for each point, which takes microseconds and needs no tree."""

    def __init__(self, latex: str) -> None:
        if AMBIGUOUS.search(latex):
            raise _Unsupported
        self.tokens, at = [], 0
        while at < len(latex.rstrip()):
            match = TOKEN.match(latex, at)
            if match is None:
                raise _Unsupported
            self.tokens.append(match.groups())
            at = match.end()
        self.names = {letter for _, _, letter, _ in self.tokens if letter and letter not in CONSTANTS}

    def value(self, point: dict[str, float]) -> complex:
        """The expression's value where its variables have the given values."""
        self.at, self.point, self.largest = 0, point, 0.0
        total = self._sum()
        if self.at != len(self.tokens):
            raise _Unsupported
        return total

    def _next(self) -> tuple:
        return self.tokens[self.at] if self.at < len(self.tokens) else (None,) * 4

    def _take(self, *signs: str) -> str | None:
        """The next token's sign or command, if it is one of these."""
        _, command, _, sign = self._next()
        found = sign if sign in signs else command if command in signs else None
        self.at += found is not None
        return found

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise _Unsupported

    def _sum(self) -> complex:
        sign = self._take("+", "-")
        total = -self._product() if sign == "-" else self._product()
        while sign := self._take("+", "-"):
            total += self._product() if sign == "+" else -self._product()
        return total

    def _product(self) -> complex:
        result = self._power()
        while True:
            if self._take("*", "cdot", "times"):
                result *= self._power()
            elif self._take("/"):
                result /= self._power()
            elif self._starts_factor():
                result *= self._power()
            else:
                self.largest = max(self.largest, abs(result))
                return result

    def _starts_factor(self) -> bool:
        number, command, letter, sign = self._next()
        known = command in FUNCTIONS or command in CONSTANTS or command in ("frac", "sqrt")
        return bool(letter or known or sign in ("(", "{")) and not number

    def _power(self) -> complex:
        base = self._atom()
        if self._take("^"):
            exponent = self._group() if self._next()[3] == "{" else self._atom()
            if self._next()[3] == "^":
                raise _Unsupported
            return complex(base) ** exponent
        return base

    def _group(self, opening: str = "{", closing: str = "}") -> complex:
        self._need(opening)
        value = self._sum()
        self._need(closing)
        return value

    def _atom(self) -> complex:
        number, command, letter, sign = self._next()
        if sign in ("(", "{"):
            return self._group(sign, {"(": ")", "{": "}"}[sign])
        self.at += 1
        if number:
            return complex(float(number))
        if letter:
            return complex(CONSTANTS.get(letter) or self.point[letter])
        if command in CONSTANTS:
            return complex(CONSTANTS[command])
        if command == "frac":
            return self._group() / self._group()
        if command == "sqrt":
            index = self._group("[", "]") if self._next()[3] == "[" else 2
            return complex(self._group()) ** (1 / index)
        if command in FUNCTIONS and self._next()[3] in ("(", "{"):
            return FUNCTIONS[command](self._atom())
        raise _Unsupported
