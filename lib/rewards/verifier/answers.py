"""What an answer says: a number with its unit, words, a list, tuple, set, interval, union or matrix, or an expression.

This module only reads; whether two answers say the same is `lib.rewards.verifier.equality`. An expression such as `\\sqrt{8}`
stays text here.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from lib.rewards.verifier import units
from lib.rewards.verifier.notation import MAX_LENGTH, clean, closing, without_braces

LARGEST_EXPONENT = 1000  # of ten; beyond it a number is compared as text
DECIMAL = r"(?:\d+(?:\.\d*)?|\.\d+)"  # of ASCII digits: every pattern below is re.ASCII
NUMBER = re.compile(rf"([+-]?) ?({DECIMAL})(?: ?(?:\\times|\\cdot|\*) ?10 ?\^ ?\{{? ?([+-]?\d+) ?\}}?|[eE]([+-]?\d+))?", re.A)
QUOTIENT = re.compile(
    rf"([+-]?) ?(?:(?:(\d+) ?)?\\frac\{{ ?(-?{DECIMAL}) ?\}}\{{ ?(-?{DECIMAL}) ?\}}|(?:(\d+) )?({DECIMAL}) ?/ ?({DECIMAL}))", re.A
)
REPEATING = re.compile(r"([+-]?)(\d*)\.(\d*)\\overline ?\{ ?(\d+) ?\}", re.A)
POWER_OF_TEN = re.compile(r"([+-]?)10 ?\^ ?\{? ?([+-]?\d+) ?\}?", re.A)
THOUSANDS = re.compile(r"(?<![\d.,(\[{])\d{1,3}(?:,\d{3})+(?![\d)\]}]|,\d|\\\})", re.A)
NAME = re.compile(r"\([a-z](?:, ?[a-z])+\)|\|[A-Z]{2}\||(?:\\angle ?)?[A-Z]{1,3}|[A-Za-df-hj-z]|\\(?!pi)[a-z]+|\\text\{[^{}]*\}")
NAMED = re.compile(rf"(?:{NAME.pattern})(?:_(?:\w|\{{\w+\}}))?'*(?:\(\w+(?:, ?\w+)*\))? ?")
WORDS = re.compile(r"(?:\\text ?\{[^{}]*\}|[^\W\d_]|[ ().,?!'-])+")
OR = re.compile(r"\\text ?\{ ?,? ?(?:and|or) ?,? ?\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|;")
BRACKETS = {"(": "(", "[": "[", r"\{": "{", r"\langle": "(", ")": ")", "]": "]", r"\}": "}", r"\rangle": ")"}
BUILDER = re.compile(r"\\\{ ?[a-z] ?(?:\\in ?\\mathbb\{R\} ?)?(?:\\mid|[|:]) ?([^|:]*?) ?\\\}")  # {x | x > 2}
MATRIX = re.compile(r"\\begin ?\{([pbB]?matrix|array)\}(?:\{[lcr| ]*\})?(.*)\\end ?\{\1\}")

# What Math-Verify is given consists of these alone: other commands it may drop or multiply, which would change an answer
COMMAND = re.compile(
    r"frac|sqrt|pi|cdot|times|infty|pm|mp|le|ge|ne|cup|cap|setminus|in|emptyset|mathbb|binom|circ|overline|sin|"
    r"cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|ln|exp|max|min|gcd|lcm|det|lfloor|rfloor|"
    r"lceil|rceil|alpha|beta|gamma|delta|epsilon|theta|lambda|mu|nu|rho|sigma|tau|phi|psi|omega|Delta|Gamma|"
    r"Omega|Theta|Phi|Sigma|varphi|sum|prod|int|lim|to|begin|end"
    r"|hbar|ell|eta|kappa|xi|zeta|chi|varepsilon|Lambda|Psi"
)
ENVIRONMENTS = {"vmatrix"}
PLAIN = re.compile(r"(?:\\[A-Za-z]++|\\[{}\\]|[A-Za-z0-9 +\-*/^_=<>!|.,()\[\]{}&])+")
STRAY = re.compile(r"[\d.] +[\d.]|\d ?_|(?<![\\A-Za-z])[A-Za-z]{4}")  # numbers side by side, bare words
# Towers of powers, huge exponents and factorials never end to evaluate
BOMB = re.compile(
    r"\^ ?[{(][^{}]*[\d)}] ?\^|\^ ?\{[^{}]*\} ?\^|\^ ?[({]?[^(){}]*\d{5}|(?:\d{4,}|\}|!|\)\)) ?!|\([^()]*(?:[\^!]|\d{4})[^()]*\) ?!"
)


class Unreadable(ValueError):
    """The text is no answer that could be compared with another."""


@dataclass(frozen=True)
class Leaf:
    """One value: `latex` without its name (`x` of `x=5`) and its unit, and its exact `number` if it is a plain one."""

    latex: str
    number: Fraction | None = None
    is_decimal: bool = False
    name: str | None = None
    unit: str | None = None
    words: str | None = None
    sides: tuple[str, ...] = ()  # of an equation that names nothing, such as 2+3=5

    @property
    def whole(self) -> str:
        """The value with its name."""
        return f"{self.name}={self.latex}" if self.name else self.latex


@dataclass(frozen=True)
class Group:
    """Several values. `kind` is `list` or `set` (in any order), `union` (of intervals, in any order), `ratio`, `matrix 2x3`, or
    the brackets of a tuple or an interval: `()`, `[]`, `(]`, `[)`."""

    kind: str
    items: tuple["Node", ...]
    latex: str


Node = Leaf | Group


def read(text: str, strict: bool = False) -> Node:
    """What an answer says; raises Unreadable for an empty one, a too long one, and one that says nothing."""
    if len(text) > MAX_LENGTH:
        raise Unreadable("too long")
    text = clean(text)
    if closing(f"({text})", 0) != len(text) + 1:
        raise Unreadable("brackets that do not match")
    return _node(text, strict, top=True)


def refuse(latex: str) -> None:
    """Raises Unreadable for what Math-Verify must not be given: unknown commands, stray digits, towers and factorials."""
    unknown = [name for name in re.findall(r"\\([A-Za-z]+)", latex) if not COMMAND.fullmatch(name)]
    environments = set(re.findall(r"\\(?:begin|end) ?\{([^{}]*)\}", latex)) - ENVIRONMENTS
    if unknown or environments or not PLAIN.fullmatch(latex) or STRAY.search(latex):
        raise Unreadable(f"not plain mathematics: {latex[:40]}")
    if latex.count("=") > 1 and not re.search(r"\\(?:sum|prod)(?![A-Za-z])", latex):
        raise Unreadable("a chain of equations, of which Math-Verify may read the last alone")
    if BOMB.search(latex):
        raise Unreadable("too large to evaluate")


def _node(text: str, strict: bool, top: bool = False) -> Node:
    """A cleaned text as a leaf or a group; separators count at the outermost level alone."""
    text = without_braces(text.strip())
    if numbers := re.fullmatch(r"\\text ?\{([^{}]*\d[^{}]*)\}", text):
        text = numbers[1].strip()
    if builder := BUILDER.fullmatch(text):
        text = builder[1]
    text = re.sub(rf"^{NAMED.pattern}\\in(?![A-Za-z])", "", text).strip()
    if not text:
        raise Unreadable("empty")
    if words := _words(text):
        return Leaf(text, words=words)
    if top:
        text = OR.sub(",", _without_thousands(text))
    if matrix := MATRIX.fullmatch(text):
        return _matrix(matrix, text, strict)
    if len(parts := _split(text, r"\\cup(?![A-Za-z])")) > 1:
        return Group("union", tuple(_node(part, strict) for part in parts), text)
    if len(parts := [part for part in _split(text, ",") if part]) > 1:
        return Group("list", _items(parts, strict), text)
    if len(parts := _split(text, ":")) > 1:
        return Group("ratio", tuple(_node(part, strict) for part in parts), text)
    if group := _brackets(text, strict):
        return group
    if r"\pm" in text and r"\mp" not in text and "=" not in text.split(r"\pm")[1]:
        return Group("list", tuple(_node(text.replace(r"\pm", sign), strict) for sign in "+-"), text)
    return _leaf(text, strict)


def _items(parts: list[str], strict: bool) -> tuple[Node, ...]:
    """The values of a list; `x=1 ± 2` inside one counts as two."""
    nodes = [_node(part, strict) for part in parts]
    return tuple(n for node in nodes for n in (node.items if isinstance(node, Group) and node.kind == "list" else [node]))


def _brackets(text: str, strict: bool) -> Node | None:
    """The tuple, interval or set that a text is as a whole; what stands alone in brackets is just itself."""
    opening = re.match(r"\(|\[|\\\{|\\langle", text)
    end = closing(text, opening.start() + (opening.group() == r"\{")) if opening else -1
    if opening and opening.group() == r"\{":
        end = closing(text, 0)
    if not opening or end != len(text) - 1:
        return None
    last = re.search(r"\)$|\]$|\\\}$|\\rangle$", text)
    if last is None:
        return None
    inner, kind = text[opening.end() : last.start()], BRACKETS[opening.group()] + BRACKETS[last.group()]
    if ", " in inner:
        inner = _without_thousands(inner)
    parts = _split(inner, ",")
    if kind == "{}" and not inner.strip():
        return Leaf(r"\emptyset")
    if len(parts) == 1 and kind in ("()", "{}", "[]"):
        return _node(inner, strict)
    if kind in ("{)", "(}", "{]", "[}") or (kind in ("(]", "[)") and len(parts) != 2):
        raise Unreadable("brackets that do not fit")
    items = tuple(_node(part, strict) for part in parts)
    return Group("set" if kind == "{}" else kind, items, text)


def _matrix(match: re.Match, text: str, strict: bool) -> Group:
    rows = [row.split("&") for row in match.group(2).strip().removesuffix(r"\\").split(r"\\")]
    if len({len(row) for row in rows}) != 1:
        raise Unreadable("a matrix with rows of different lengths")
    cells = tuple(_node(cell, strict) for row in rows for cell in row)
    return Group(f"matrix {len(rows)}x{len(rows[0])}", cells, text)


def _without_thousands(text: str) -> str:
    return THOUSANDS.sub(lambda match: match.group().replace(",", ""), text)


def _split(text: str, separator: str) -> list[str]:
    """The parts of a text between separators that stand outside of all brackets."""
    parts, depth, start = [], 0, 0
    for match in re.finditer(rf"(?P<cut>{separator})|\\?[{{}}]|\\[lr]angle|[\[\]()]", text):
        if match["cut"]:
            if depth == 0:
                parts.append(text[start : match.start()].strip())
                start = match.end()
        else:
            depth += 1 if match.group()[-1] in "{([" or match.group() == r"\langle" else -1
    return [*parts, text[start:].strip()]


def _leaf(text: str, strict: bool) -> Node:
    """A single value: its name, unit and number taken apart; a group if that is what has the name."""
    sides = _split(text, r"=|\\approx(?![A-Za-z])")
    if len(sides) > 1 and not re.search(r"[<>!]|\\(?:le|ge|ne)(?![A-Za-z])", text):
        if not all(sides):
            raise Unreadable("half an equation")
        if not NAMED.fullmatch(sides[0]):
            return Leaf(text, sides=tuple(sides))
        name, text = sides[0].replace(" ", ""), sides[-1] if "approx" not in text else sides[1]
        inner = _node(text, strict)
        return inner if isinstance(inner, Group) else replace(inner, name=name)
    text, unit = units.split(text, strict)
    if words := _words(text):
        return Leaf(text, words=words)
    number, is_decimal = plain_number(text)
    if number is None and re.fullmatch(r"[\w ().,?!'-]+", text) and re.search(r"[^\W\d_]{4}", text):  # June 20
        return Leaf(text, words=_key(text))
    return Leaf(text, number, is_decimal, unit=unit)


def _words(text: str) -> str | None:
    """The letters of an answer in words, such as `\\text{Evelyn}` or `(A)`, in lower case; None for mathematics."""
    if not WORDS.fullmatch(text) or not re.search(r"\\text|[^\W\d_]{3}|no", text):
        return None
    plain = re.sub(r"\\text ?\{([^{}]*)\}", r"\1", text)
    if OR.search(plain) and not re.search(r"[^\W\d_]{3}", OR.sub("", plain)):
        return None
    return _key(plain)


def _key(words: str) -> str | None:
    return "".join(c for c in words.casefold() if c.isalnum()) or None


def plain_number(text: str) -> tuple[Fraction | None, bool]:
    """(exact value of a number written as such, whether it is a decimal): `-3`, `.5`, `1/3`, `2\\frac{1}{2}`, `4.5e33`."""
    if (inner := re.fullmatch(r"\((.*)\)", text)) and "(" not in inner[1]:
        text = inner[1].strip()
    if match := NUMBER.fullmatch(text):
        sign, digits, *exponents = match.groups()
        exponent = int(next((e for e in exponents if e), "0"))
        if abs(exponent) > LARGEST_EXPONENT:
            raise Unreadable("too large to evaluate")
        return Fraction(f"{sign}{digits}e{exponent}"), "." in digits
    if (match := POWER_OF_TEN.fullmatch(text)) and abs(int(match[2])) <= LARGEST_EXPONENT:
        return Fraction(f"{match[1]}1e{match[2]}"), False
    if match := REPEATING.fullmatch(text):
        sign, whole, digits, period = match.groups()
        value = Fraction(int(whole + digits + period or 0) - int(whole + digits or 0), (10 ** len(period) - 1) * 10 ** len(digits))
        return (-value if sign == "-" else value), False
    if match := QUOTIENT.fullmatch(text):
        sign, *latex, whole, above, below = match.groups()
        whole, above, below = (whole, above, below) if above else latex
        above, below = Fraction(above), Fraction(below)
        if below == 0 or (whole and not 0 <= above < below):
            return None, False
        value = int(whole or 0) + above / below
        return (-value if sign == "-" else value), False
    return None, False
