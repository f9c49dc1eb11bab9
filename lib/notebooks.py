"""What notebooks need beside the rooms: parameters that are checked, sliders that do no harm where nobody can move them, and
exercises whose answers can be checked."""

import ast
import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from lib.storage import files
from lib.storage.errors import UsageError
from lib.storage.folders import ROOT


def check_parameters(notebook: str, namespace: Mapping[str, object]) -> None:
    """Refuses names in `namespace` that are a parameter misspelt: upper case and not set by the notebook's cell tagged
    `parameters`, or set there in upper case. papermill only warns about a misspelt parameter and then runs with the default; this
    raises UsageError instead."""
    cells = files.read_json(ROOT / "notebooks" / f"{notebook}.ipynb")["cells"]
    source = next("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
    assigned = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    known = {target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)}
    names = [n for n in namespace if not n.startswith("_") and n not in {*known, "In", "Out"}]  # In, Out: IPython's own
    for name in sorted(n for n in names if n.isupper() or n.upper() in known):
        close = difflib.get_close_matches(name.upper(), known, 1)
        advice = f"did you mean {close[0]}?" if close else f"this notebook has {', '.join(sorted(known))}."
        raise UsageError(f"Unknown parameter {name}: {advice}")


def explore(draw: Callable[..., None], **controls: Any) -> None:
    """A slider for each control (an ipywidgets widget), and below them what `draw` shows for their values. Where nobody can move a
    slider, as under papermill, `draw` shows the first state, and there are no widgets: with many of them nbclient and ipykernel
    were seen to wait for each other without end."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is not None and kernel.get_parent("shell").get("content", {}).get("allow_stdin"):
        from ipywidgets import interact

        interact(draw, **controls)
    else:
        draw(**{name: getattr(control, "value", control) for name, control in controls.items()})


def check_answer(notebook: str, number: int, answer: Any) -> None:
    """Prints whether the answer to an exercise is right, and not what would be. `answer` is a number, a text, or a list of them;
    None is no answer yet. A number may be off by one percent, a whole one must be exact, and a text may be in upper or lower case.
    What is right is computed by the cell of `notebooks/solutions/` that is tagged `exercise-1` and so on, and sets `answer`."""
    if answer is None or answer is ...:
        print(f"Exercise {number}: write your answer into this cell, and run it again.")
        return
    right = _same(answer, solution(notebook, number))
    print(f"Exercise {number}: {'right.' if right else 'not yet. Try again, or look into notebooks/solutions/.'}")


def solution(notebook: str, number: int) -> Any:
    """The right answer to an exercise; UsageError if there is no such exercise."""
    path = ROOT / "notebooks" / "solutions" / f"{notebook}.ipynb"
    cells = files.read_json(path)["cells"] if path.is_file() else []
    tagged = ["".join(c["source"]) for c in cells if f"exercise-{number}" in c["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise UsageError(f"{notebook} has no exercise {number}: look at its number in the text above this cell.")
    namespace: dict[str, Any] = {}
    exec(compile(tagged[0], str(path), "exec"), namespace)  # our own code, no model's
    return namespace["answer"]


def _same(given: Any, right: Any) -> bool:
    """Whether an answer is the right one, but for rounding."""
    if isinstance(right, str):
        return isinstance(given, str) and given.strip().casefold() == right.strip().casefold()
    if isinstance(right, Sequence | np.ndarray):
        listed = isinstance(given, Sequence | np.ndarray) and not isinstance(given, str)
        return listed and len(given) == len(right) and all(map(_same, given, right))
    if not isinstance(given, Real):
        return False
    return given == right if isinstance(right, Integral) else math.isclose(given, right, rel_tol=0.01, abs_tol=1e-9)
