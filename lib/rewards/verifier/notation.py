"""One spelling for answers: unicode, styling, shorthand and Python notation all become the same plain LaTeX.

Text in, text out; what an answer means is `lib.rewards.verifier.answers`. Nothing here evaluates anything: Python notation is
parsed into a syntax tree, of which a short list of nodes is written out as LaTeX.
"""

import ast
import math
import re
import warnings

MAX_LENGTH = 256  # characters; a longer answer is not worth reading

SYMBOLS = {
    **{"−": "-", "–": "-", "—": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "∕": "/", "∗": "*"},
    **{"π": r"\pi ", "∞": r"\infty ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "λ": r"\lambda "},
    **{"≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "±": r"\pm ", "∓": r"\mp ", "°": r"^\circ "},
    **{"∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}", "√": r"\sqrt "},
    **{"²": "^2", "³": "^3", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "′": "'", "’": "'"},
    **dict.fromkeys("\u00a0\u2009\u202f\u2002\u2003\t\n\r", " "),
}
# Word-like commands and what they are here; an unknown command stays, and `lib.rewards.verifier.answers.refuse` refuses it
RENAMED = {
    **dict.fromkeys(("dfrac", "tfrac", "cfrac"), r"\frac"),
    **dict.fromkeys(("dbinom", "tbinom"), r"\binom"),
    **dict.fromkeys(("leq", "leqslant"), r"\le"),
    **dict.fromkeys(("geq", "geqslant"), r"\ge"),
    **{"neq": r"\ne", "simeq": r"\approx", "varnothing": r"\emptyset", "degree": r"^\circ", "ast": "*", "div": "/"},
    **{"lbrace": r"\{", "rbrace": r"\}", "lparen": "(", "rparen": ")", "lbrack": "[", "rbrack": "]"},
    **{"lvert": "|", "rvert": "|", "vert": "|", "lt": "<", "gt": ">", "land": r"\text{and}", "lor": r"\text{or}"},
    **{"colon": ":", "dollar": r"\$", "percent": r"\%", "bmod": r"\mod"},
    **dict.fromkeys(("textrm", "textit", "textbf", "textnormal", "textsf", "texttt", "mbox", "hbox"), r"\text"),
    **dict.fromkeys(("mathrm", "mathsf", "mathtt", "rm"), r"\text"),
}
STYLING = re.compile(
    r"left|right|middle|[bB]igg?[lr]?|displaystyle|textstyle|(?:no)?limits|mathbf|boldsymbol|bm|mathit|underline|bf|it|mathopen|mathclose"
)
SPACING = re.compile(r"q?quad|enspace|(?:thin|med|thick)space|hfill")
COMMAND = re.compile(r"\\([A-Za-z]+)")
THIN = re.compile(r"(?<=\d)\s*(?:\\[,!; ]|~|\{,\}|\\thinspace(?![A-Za-z]))\s*(?=\d{3}(?!\d))")
ARGUMENTS = re.compile(r"(\\frac(?![A-Za-z])|\\sqrt(?![A-Za-z\[])|\^)")
TOKEN = re.compile(r"\\[A-Za-z]+|[0-9A-Za-z]")
EXPONENT = re.compile(r"\\[A-Za-z]+|[A-Za-z]|-?\d+")
PYTHON = re.compile(r"\*\*|\b(?:np|numpy|math|sp|sympy)\.|(?<![\\A-Za-z])(?:sqrt|exp|log|ln|pi|a?(?:rc)?(?:sin|cos|tan)h?)\b")
PYTHON_TEXT = re.compile(r"(?:[A-Za-z][A-Za-z0-9]*+|\d++\.?\d*+(?:[eE][+-]?\d++)?+|\.\d++|[-+*/^(),.\s])++")
FUNCTIONS = {name: f"\\{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp")}
FUNCTIONS |= {f"arc{name}": f"\\arc{name}" for name in ("sin", "cos", "tan")}
FUNCTIONS |= {f"a{name}": f"\\arc{name}" for name in ("sin", "cos", "tan")} | {"log": r"\ln", "ln": r"\ln"}
OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: r"\cdot "}


def clean(text: str) -> str:
    """An answer in plain LaTeX: one command for each meaning, no styling, no spacing commands, single spaces."""
    text = from_python(text.strip())
    text = "".join(SYMBOLS.get(c, c) for c in text)
    text = THIN.sub("", text.replace(r",\!", ",")).replace(r"\!", " ")
    text = re.sub(r"\\(?:text)?color ?\{[a-z]+\}", "", re.sub(r"\\mathbb ([A-Z])", r"\\mathbb{\1}", text))
    text = re.sub(r"(?<!\\)\\[()\[\],;:>\s]|~", " ", text)
    text = text.replace("<=", r"\le ").replace(">=", r"\ge ").replace("!=", r"\ne ")
    text = COMMAND.sub(_command, text)
    text = _without_math_dollars(text)
    text = re.sub(r"\s+", " ", text).strip(" ;:,").removesuffix("\\\\").removesuffix(".").strip()
    text = re.sub(r"\\log ?_ ?(\w) ?", r"\\log_{\1} ", text)
    return without_braces(with_braces(text))


def with_braces(text: str) -> str:
    """The text with braces around every argument of `\\frac` and `\\sqrt` and every exponent: `\\frac12`, `\\sqrt3`, `2^(n+1)`.

    An argument without braces is what TeX takes, one digit, one letter or one command; an exponent is a whole number, too.
    """
    match = ARGUMENTS.search(text)
    if match is None:
        return text
    at, groups, is_power = match.end(), [], match[1] == "^"
    for _ in range(2 if match[1] == r"\frac" else 1):
        at += len(text[at:]) - len(text[at:].lstrip())
        if text.startswith("{", at) or (is_power and text.startswith("(", at)):
            end = closing(text, at)
            inner, after = text[at + 1 : end], end + 1
        else:
            token = (EXPONENT if is_power else TOKEN).match(text, at)
            inner, after = (token[0], token.end()) if token else ("", 0)
        if after == 0:  # there is none, or it is not closed
            return text[: match.end()] + with_braces(text[match.end() :])
        groups.append(f"{{{with_braces(inner)}}}")
        at = after
    return text[: match.start()] + match[1] + "".join(groups) + with_braces(text[at:])


def without_braces(text: str) -> str:
    """The text without grouping braces or a box around all of it: `{{5}}` and `\\boxed{5}` are 5."""
    while (match := re.match(r"(?:\\boxed|\\fbox)?\s*\{", text)) and closing(text, match.end() - 1) == len(text) - 1:
        text = text[match.end() : -1].strip()
    return text


def closing(text: str, start: int) -> int:
    """Where the bracket that opens at `start` closes; -1 if it does not. Round and square ones may close each other."""
    depth = 0
    for match in re.compile(r"\\?[{}]|\\[lr]angle|[\[\]()]").finditer(text, start):
        depth += 1 if match.group()[-1] in "{([" or match.group() == r"\langle" else -1
        if depth == 0:
            return match.end() - 1
    return -1


def from_python(text: str) -> str:
    """LaTeX for Python or NumPy notation such as `np.arcsin(10/13)` or `2*x**2`; any other text as it is."""
    if "\\" in text or len(text) > MAX_LENGTH or not PYTHON.search(text) or not PYTHON_TEXT.fullmatch(text):
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(re.sub(r"(?<=\d)(?=[A-DF-Za-df-z(])|(?<=\))(?=[\w(])", "*", text).replace("^", "**"), mode="eval")
        return _latex(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text


def _latex(node: ast.expr) -> str:
    """A syntax tree as LaTeX; ValueError for anything but numbers, names, arithmetic and known functions."""
    match node:
        case ast.Constant(value=bool()):
            raise ValueError
        case ast.Constant(value=int() | float() as number) if math.isfinite(number):
            return re.sub(r"e\+?(-?)0*(\d+)$", r"\\cdot 10^{\1\2}", repr(number))
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="np" | "numpy" | "math" | "sp" | "sympy"), attr=name):
            return name if len(name) == 1 else _name(name)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return f"-{_latex(inner)}"
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return f"\\frac{{{_latex(left)}}}{{{_latex(right)}}}"
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"{_factor(left)}^{{{_latex(right)}}}"
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
            is_product = isinstance(operator, ast.Mult)
            sides = (_factor(left), _factor(right)) if is_product else (_latex(left), _signed(right))
            return OPERATORS[type(operator)].join(sides)
        case ast.Call(func=function, args=[argument], keywords=[]):
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name == "sqrt":
                return f"\\sqrt{{{_latex(argument)}}}"
            if name in FUNCTIONS:
                return f"{FUNCTIONS[name]}({_latex(argument)})"
    raise ValueError


def _factor(node: ast.expr) -> str:
    """A factor or a base, in parentheses where it is a sum, a sign or a quotient to be raised."""
    inner = _latex(node)
    return f"({inner})" if isinstance(node, ast.BinOp | ast.UnaryOp) else inner


def _signed(node: ast.expr) -> str:
    inner = _latex(node)
    return f"({inner})" if isinstance(node, ast.UnaryOp | ast.BinOp) and not isinstance(node.op, ast.Mult) else inner


def _name(name: str) -> str:
    if name in ("inf", "oo"):
        return r"\infty "
    if name not in ("pi", "alpha", "beta", "gamma", "delta", "theta", "mu", "omega", "phi", "rho", "sigma", "tau"):
        raise ValueError
    return f"\\{name} "


def _command(match: re.Match) -> str:
    name = match.group(1)
    if STYLING.fullmatch(name) or SPACING.fullmatch(name):
        return " " if SPACING.fullmatch(name) else ""
    return RENAMED.get(name, match.group())


def _without_math_dollars(text: str) -> str:
    """Drops the dollars that open and close mathematics; a single one is money, and becomes `\\$`."""
    dollars = re.findall(r"(?<!\\)\$", text)
    return re.sub(r"(?<!\\)\$", r"\\$" if len(dollars) == 1 else " ", text)
