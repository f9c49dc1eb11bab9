"""One spelling for answers: unicode, styling, shorthand and Python notation all become the same plain LaTeX. Nothing is evaluated:
Python notation is parsed into a syntax tree, of which a short list of nodes is written out."""

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
# Each line of commands with what they are here; an unknown one stays, and `lib.rewards.verifier.answers.refuse` refuses it
RENAMED = r"""
\frac dfrac tfrac cfrac ; \binom dbinom tbinom ; \le leq leqslant ; \ge geq geqslant ; \ne neq ; \approx simeq ;
\emptyset varnothing ; ^\circ degree ; * ast ; / div ; : colon ; < lt ; > gt ; \$ dollar ; \% percent ; \mod bmod ;
\{ lbrace ; \} rbrace ; ( lparen ; ) rparen ; [ lbrack ; ] rbrack ; | lvert rvert vert ; \text{and} land ; \text{or} lor ;
\text textrm textit textbf textnormal textsf texttt mbox hbox mathrm mathsf mathtt rm
"""
SPACING = "quad qquad enspace thinspace medspace thickspace hfill"
STYLING = """
left right middle big bigl bigr bigg biggl biggr Big Bigl Bigr Bigg Biggl Biggr displaystyle textstyle limits nolimits
mathbf boldsymbol bm mathit underline bf it mathopen mathclose
"""
COMMANDS = {old: names.split()[0] for names in RENAMED.split(";") for old in names.split()[1:]}
COMMANDS |= dict.fromkeys(SPACING.split(), " ") | dict.fromkeys(STYLING.split(), "")
COMMAND = re.compile(r"\\([A-Za-z]+)")
DOLLAR = re.compile(r"(?<!\\)\$")
THIN = re.compile(r"(?<=\d)\s*(?:\\[,!; ]|~|\{,\}|,\\!|\\thinspace(?![A-Za-z]))\s*(?=\d{3}(?!\d))")
ARGUMENTS = re.compile(r"(\\frac(?![A-Za-z])|\\sqrt(?![A-Za-z\[])|\^)")
TOKEN = re.compile(r"\\[A-Za-z]+|[0-9A-Za-z]")
EXPONENT = re.compile(r"\\[A-Za-z]+|[A-Za-z]|-?\d+")
PYTHON = re.compile(r"\*\*|\b(?:np|numpy|math|sp|sympy)\.|(?<![\\A-Za-z])(?:sqrt|exp|log|ln|pi|a?(?:rc)?(?:sin|cos|tan)h?)\b")
PYTHON_TEXT = re.compile(r"(?:[A-Za-z][A-Za-z0-9]*+|\d++\.?\d*+(?:[eE][+-]?\d++)?+|\.\d++|[-+*/^(),.\s])++")
FUNCTIONS = {name: f"\\{name}({{}})" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "ln")}
FUNCTIONS |= {f"{a}{name}": f"\\arc{name}({{}})" for name in ("sin", "cos", "tan") for a in ("a", "arc")}
FUNCTIONS |= {"log": r"\ln({})", "sqrt": r"\sqrt{{{}}}"}
GREEK = ("pi", "alpha", "beta", "gamma", "delta", "theta", "mu", "omega", "phi", "rho", "sigma", "tau")
NAMES = {name: f"\\{name} " for name in GREEK} | dict.fromkeys(("inf", "oo"), r"\infty ")


def clean(text: str) -> str:
    """An answer in plain LaTeX: one command for each meaning, no styling, no spacing commands, single spaces."""
    text = from_python(text.strip())
    text = "".join(SYMBOLS.get(c, c) for c in text)
    text = THIN.sub("", text).replace(r"\!", " ")
    text = re.sub(r"\\(?:text)?color ?\{[a-z]+\}", "", re.sub(r"\\mathbb ([A-Z])", r"\\mathbb{\1}", text))
    text = re.sub(r"(?<!\\)\\[()\[\],;:>\s]|~", " ", text)
    text = text.replace("<=", r"\le ").replace(">=", r"\ge ").replace("!=", r"\ne ")
    text = COMMAND.sub(lambda match: COMMANDS.get(match[1], match[0]), text)
    # dollars open and close mathematics, but a single one is money
    text = DOLLAR.sub(r"\\$" if len(DOLLAR.findall(text)) == 1 else " ", text)
    text = re.sub(r"\s+", " ", text).strip(" ;:,").removesuffix("\\\\").removesuffix(".").strip()
    text = re.sub(r"\\log ?_ ?(\w) ?", r"\\log_{\1} ", text)
    return without_braces(with_braces(text))


def with_braces(text: str) -> str:
    """The text with braces around every argument of `\\frac` and `\\sqrt` and every exponent: `\\frac12`, `\\sqrt3`, `2^(n+1)`.
    An argument without braces is what TeX takes, one digit, one letter or one command; an exponent is a whole number, too."""
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
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool) and math.isfinite(number):
            return re.sub(r"e\+?(-?)0*(\d+)$", r"\\cdot 10^{\1\2}", repr(number))
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="np" | "numpy" | "math" | "sp" | "sympy"), attr=name):
            if len(name) == 1 or name in NAMES:
                return NAMES.get(name, name)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return f"-{_latex(inner)}"
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return f"\\frac{{{_latex(left)}}}{{{_latex(right)}}}"
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"{_part(left)}^{{{_latex(right)}}}"
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return f"{_part(left)}\\cdot {_part(right)}"
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as operator, right=right):
            return f"{_latex(left)}{'+' if isinstance(operator, ast.Add) else '-'}{_part(right, of_sum=True)}"
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[inner], keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name].format(_latex(inner))
    raise ValueError


def _part(node: ast.expr, of_sum: bool = False) -> str:
    """A part of a larger expression, in parentheses if it has an operator of its own; a product in a sum needs none."""
    inner = _latex(node)
    is_whole = not isinstance(node, ast.BinOp | ast.UnaryOp) or (of_sum and isinstance(node.op, ast.Mult))
    return inner if is_whole else f"({inner})"
