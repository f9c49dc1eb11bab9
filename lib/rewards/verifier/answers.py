"""What an answer says: a number with its unit, words, a list, tuple, set, interval, union or matrix, or an expression, which
stays text here. Whether two answers say the same is `lib.rewards.verifier.equality`."""

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from lib.rewards.verifier import units
from lib.rewards.verifier.notation import clean, closing, without_braces

LARGEST_EXPONENT = 1000  # of ten; beyond it a number is compared as text
DECIMAL = r"(?:\d+(?:\.\d*)?|\.\d+)"  # of ASCII digits: every pattern below is re.ASCII
NUMBER = re.compile(rf"({DECIMAL})(?: ?(?:\\times|\\cdot|\*) ?10 ?\^ ?\{{? ?([+-]?\d+) ?\}}?|[eE]([+-]?\d+))?", re.A)
QUOTIENT = re.compile(
    rf"(?:(?:(\d+) ?)?\\frac\{{ ?(-?{DECIMAL}) ?\}}\{{ ?(-?{DECIMAL}) ?\}}|(?:(\d+) )?({DECIMAL}) ?/ ?({DECIMAL}))", re.A
)
REPEATING = re.compile(r"(\d*)\.(\d*)\\overline ?\{ ?(\d+) ?\}", re.A)
IN_BASE = re.compile(r"([+-]?) ?([0-9A-Z]*\d[0-9A-Z]*)(?:\.([0-9A-Z]+))? ?_ ?\{? ?([2-9]|[12]\d|3[0-6]) ?\}?", re.A)
POWER_OF_TEN = re.compile(r"10 ?\^ ?\{? ?([+-]?\d+) ?\}?", re.A)
THOUSANDS = re.compile(r"(?<![\d.,(\[{])\d{1,3}(?:,\d{3})+(?![\d)\]}]|,\d|\\\})", re.A)
NAME = re.compile(r"\([a-z](?:, ?[a-z])+\)|\|[A-Z]{2}\||(?:\\angle ?)?[A-Z]{1,3}|[A-Za-df-hj-z]|\\(?!pi)[a-z]+|\\text\{[^{}]*\}")
NAMED = re.compile(rf"(?:{NAME.pattern})(?:_(?:\w|\{{\w+\}}))?'*(?:\(\w+(?:, ?\w+)*\))? ?")
WORDS = re.compile(r"(?:\\text ?\{[^{}]*\}|[^\W\d_]|[ ().,?!'-])+")
OR = re.compile(r"\\text ?\{ ?,? ?(?:and|or) ?,? ?\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|;")
BRACKETS = {"(": "(", "[": "[", r"\{": "{", r"\langle": "(", ")": ")", "]": "]", r"\}": "}", r"\rangle": ")"}
BUILDER = re.compile(r"\\\{ ?[a-z] ?(?:\\in ?\\mathbb\{R\} ?)?(?:\\mid|[|:]) ?([^|:]*?) ?\\\}")  # {x | x > 2}
MATRIX = re.compile(r"\\begin ?\{([pbB]?matrix|array)\}(?:\{[lcr| ]*\})?(.*)\\end ?\{\1\}")
# What Math-Verify is given consists of these alone: other commands it may drop or multiply, which would change an answer
COMMANDS = """
frac sqrt pi cdot times infty pm mp le ge ne cup cap setminus in emptyset mathbb binom circ overline sin cos tan cot sec csc arcsin
arccos arctan sinh cosh tanh log ln exp max min gcd lcm det lfloor rfloor lceil rceil alpha beta gamma delta epsilon theta lambda
mu nu rho sigma tau phi psi omega Delta Gamma Omega Theta Phi Sigma varphi sum prod int lim to begin end hbar ell eta kappa xi zeta
chi varepsilon Lambda Psi
"""
PLAIN = re.compile(r"(?:\\[A-Za-z]++|\\[{}\\]|[A-Za-z0-9 +\-*/^_=<>!|.,()\[\]{}&])+")
# Numbers side by side; bare words; f(0), which may be a function's value or a product
STRAY = re.compile(
    r"[\d.] +[\d.]|\d ?_|(?<![\\A-Za-z])[A-Za-z]{4}"
    r"|(?<![\\A-Za-z_{])(?:[A-Za-z] ?\([\d.,/ -]*\)|[fghFGHPQI] ?\((?:\\[a-z]+|[^()\\a-z])*\))"
)
# Towers of powers, huge exponents and factorials never end to evaluate
BOMB = re.compile(
    r"\^ ?[{(][^{}]*[\d)}] ?\^|\^ ?\{[^{}]*\} ?\^|\^ ?[({]?[^(){}]*\d{5}|(?:\d{5,}|\}|!|\)\)) ?!|\([^()]*(?:[\^!]|\d{4})[^()]*\) ?!"
)


class Unreadable(ValueError):
    """The text is no answer that could be compared with another."""


@dataclass(frozen=True)
class Leaf:
    """One value: `latex` without its name (`x` of `x=5`) and its unit, and its exact `number` if it is a plain one, with the unit
    in its last `place` if it is a decimal, and its `base` if it is not written in base ten."""

    latex: str
    number: Fraction | None = None
    place: Fraction | None = None
    base: int | None = None
    name: str | None = None
    unit: str | None = None
    words: str | None = None
    sides: tuple[str, ...] = ()  # of an equation that names nothing, such as 2+3=5


@dataclass(frozen=True)
class Group:
    """Several values. `kind` is `list` or `set` (in any order), `union` (of intervals, in any order), `ratio`, `matrix 2x3`, or
    the brackets of a tuple or an interval: `()`, `[]`, `(]`, `[)`."""

    kind: str
    items: tuple["Node", ...]
    latex: str
    name: str | None = None  # (x,y) of (x,y)=(1,2)


Node = Leaf | Group


def read(text: str, strict: bool = False) -> Node:
    """What an answer says; raises Unreadable for an empty one, and one that says nothing."""
    text = clean(text)
    if closing(f"({text})", 0) != len(text) + 1:
        raise Unreadable("brackets that do not match")
    return _node(text, strict, top=True)


def refuse(latex: str) -> None:
    """Raises Unreadable for what Math-Verify must not be given: unknown commands, stray digits, towers and factorials."""
    unknown = set(re.findall(r"\\([A-Za-z]+)", latex)) - set(COMMANDS.split())
    environments = set(re.findall(r"\\(?:begin|end) ?\{([^{}]*)\}", latex)) - {"vmatrix"}
    # of a chain of equations, it may read the last alone
    is_chain = latex.count("=") > 1 and not re.search(r"\\(?:sum|prod)(?![A-Za-z])", latex)
    if unknown or environments or is_chain or not PLAIN.fullmatch(latex) or STRAY.search(latex) or BOMB.search(latex):
        raise Unreadable(f"not plain mathematics: {latex[:40]}")


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
        rows = [row.split("&") for row in matrix[2].strip().removesuffix(r"\\").split(r"\\")]
        if len({len(row) for row in rows}) != 1:
            raise Unreadable("a matrix with rows of different lengths")
        return Group(f"matrix {len(rows)}x{len(rows[0])}", tuple(_node(cell, strict) for row in rows for cell in row), text)
    if len(parts := _split(text, r"\\cup(?![A-Za-z])")) > 1:
        return Group("union", tuple(_node(part, strict) for part in parts), text)
    if len(parts := [part for part in _split(text, ",") if part]) > 1:
        nodes = [_node(part, strict) for part in parts]
        lists = [node.items if isinstance(node, Group) and node.kind == "list" else (node,) for node in nodes]  # 1 ± 2 is two
        return Group("list", tuple(item for items in lists for item in items), text)
    if len(parts := _split(text, ":")) > 1:
        return Group("ratio", tuple(_node(part, strict) for part in parts), text)
    if group := _brackets(text, strict):
        return group
    if r"\pm" in text and r"\mp" not in text and "=" not in text.split(r"\pm")[1]:
        return Group("list", tuple(_node(text.replace(r"\pm", sign), strict) for sign in "+-"), text)
    return _leaf(text, strict)


def _brackets(text: str, strict: bool) -> Node | None:
    """The tuple, interval or set that a text is as a whole; what stands alone in brackets is just itself."""
    opening, last = re.match(r"\(|\[|\\\{|\\langle", text), re.search(r"\)$|\]$|\\\}$|\\rangle$", text)
    if not opening or not last or closing(text, 0) != len(text) - 1:
        return None
    inner, kind = text[opening.end() : last.start()], BRACKETS[opening.group()] + BRACKETS[last.group()]
    if ", " in inner:
        inner = _without_thousands(inner)
    parts = _split(inner, ",")
    if kind == "{}" and not inner.strip():
        return Leaf(r"\emptyset")
    if kind == "{}" and inner.strip() == r"\emptyset":
        raise Unreadable("a set with the empty set in it")
    if len(parts) == 1 and kind in ("()", "{}", "[]"):
        return _node(inner, strict)
    if kind in ("{)", "(}", "{]", "[}") or (kind in ("(]", "[)") and len(parts) != 2):
        raise Unreadable("brackets that do not fit")
    return Group("set" if kind == "{}" else kind, tuple(_node(part, strict) for part in parts), text)


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
        return replace(inner, name=name)
    if in_base := _in_base(text):
        return Leaf(str(in_base[0]), in_base[0], base=in_base[1])
    text, unit = units.split(text, strict)
    if words := _words(text):
        return Leaf(text, words=words)
    number, place = plain_number(text)
    if number is None and re.fullmatch(r"[\w ().,?!'-]+", text) and re.search(r"[^\W\d_]{4}", text):  # June 20
        return Leaf(text, words=_key(text))
    return Leaf(text, number, place, unit=unit)


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


def _in_base(text: str) -> tuple[Fraction, int] | None:
    """(value, base) of a number such as `0.11_{2}`; None for any other text."""
    if not (match := IN_BASE.fullmatch(text)):
        return None
    sign, whole, part, base = match[1], match[2], match[3] or "", int(match[4])
    try:
        return Fraction(int(f"{sign}{whole}{part}", base), base ** len(part)), base
    except ValueError:  # a digit that the base does not have
        return None


def plain_number(text: str) -> tuple[Fraction | None, Fraction | None]:
    """(exact value, unit in the last place of a decimal) of a number written as such: `-3`, `.5`, `1/3`, `2\\frac{1}{2}`, `4.5e33`.
    Each is None if there is none."""
    if (inner := re.fullmatch(r"\((.*)\)", text)) and "(" not in inner[1]:
        text = inner[1].strip()
    is_negative, text = text.startswith("-"), re.sub(r"^[+-] ?", "", text)
    value, place = None, None
    if match := NUMBER.fullmatch(text):
        exponent = int(match[2] or match[3] or 0)
        if abs(exponent) > LARGEST_EXPONENT:
            raise Unreadable("too large to evaluate")
        value = Fraction(f"{match[1]}e{exponent}")
        if "." in match[1]:
            place = Fraction(f"1e{exponent - len(match[1].partition('.')[2])}")
    elif (match := POWER_OF_TEN.fullmatch(text)) and abs(int(match[1])) <= LARGEST_EXPONENT:
        value = Fraction(f"1e{match[1]}")
    elif match := REPEATING.fullmatch(text):
        whole, digits, period = match.groups()
        nines = (10 ** len(period) - 1) * 10 ** len(digits)
        value = Fraction(int(whole + digits + period) - int(whole + digits or 0), nines)
    elif match := QUOTIENT.fullmatch(text):
        whole, *parts = match.groups()[3:] if match[5] else match.groups()[:3]
        above, below = map(Fraction, parts)
        if below != 0 and (not whole or 0 <= above < below):
            value = int(whole or 0) + above / below
    return -value if is_negative and value is not None else value, place
