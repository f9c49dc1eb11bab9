"""What notebooks need beside the rooms: parameters that are checked, sliders that do no harm where nobody can move them, and
exercises whose answers can be checked."""

import ast
import base64
import difflib
import html
import math
import os
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


FRAMES = "KIT_FRAMES"  # set where a notebook is executed to be read: by lib.reproduce, and so for `make site`
SHOW = (
    "const box = this.closest('.kit-frames'), frames = [...box.querySelectorAll('.kit-frame')];"
    "frames.forEach((frame, i) => {frame.hidden = i != this.value});"
    "box.querySelector('output').textContent = frames[this.value].title"
)


def explore(draw: Callable[..., None], **controls: Any) -> None:
    """A slider for each control (an ipywidgets widget), and below them what `draw` shows for their values. Where nobody can move a
    slider, as under papermill, there are no widgets: with many of them nbclient and ipykernel were seen to wait for each other
    without end. There `draw` shows the first state or, if KIT_FRAMES is set, frames for the first slider, which a browser moves
    without a kernel."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    start = {name: getattr(control, "value", control) for name, control in controls.items()}
    dial = next((name for name, control in controls.items() if _positions(control)), None)
    if kernel is not None and kernel.get_parent("shell").get("content", {}).get("allow_stdin"):
        from ipywidgets import interact

        interact(draw, **controls)
    elif dial and os.environ.get(FRAMES):
        from IPython.display import HTML, display

        display(HTML(_frames(draw, start, dial, _positions(controls[dial]))))
    else:
        draw(**start)


def _positions(control: Any, most: int = 12) -> list:
    """Up to `most` values over the range of a slider, and the one at which it stands; for a menu its options; else none."""
    options = getattr(control, "_options_values", ())
    if options or not hasattr(control, "max"):
        return list(options)
    low, high, step = control.min, control.max, control.step
    steps = np.unique(np.linspace(0, (high - low) / step, most).round().astype(int))
    values = low + step * steps
    values = control.base**values if hasattr(control, "base") else values
    others = [type(control.value)(round(value, 10)) for value in values.tolist()]
    return sorted([control.value, *(value for value in others if not math.isclose(value, control.value))])


def _frames(draw: Callable[..., None], start: Mapping[str, Any], dial: str, values: Sequence[Any]) -> str:
    """HTML: what `draw` shows for each of `values` of one dial, the others standing still, and a slider that chooses among them."""
    frames, titles = [], [f"{dial} = {value:.4g}" if isinstance(value, float) else f"{dial} = {value}" for value in values]
    first = list(values).index(start[dial])
    for index, (value, title) in enumerate(zip(values, titles)):
        head = f'<div class="kit-frame" title="{html.escape(title)}"{"" if index == first else " hidden"}>'
        frames.append(f"{head}{_frame(draw, {**start, dial: value}, title)}</div>")
    others = ", ".join(f"{name} = {value}" for name, value in start.items() if name != dial)
    note = f"<br><small>{html.escape(others)}: these move in JupyterLab.</small>" if others else ""
    slider = f'<input type="range" min="0" max="{len(values) - 1}" value="{first}" autocomplete="off" oninput="{SHOW}">'
    head = f"<label>{slider} <output>{html.escape(titles[first])}</output></label>{note}"
    return f'<div class="kit-frames">{head}{"".join(frames)}</div>'


def _frame(draw: Callable[..., None], state: Mapping[str, Any], title: str) -> str:
    """HTML of what `draw` shows for one state: its text, its tables, and its figures in a small size."""
    import matplotlib.pyplot as plt
    from IPython.utils.capture import capture_output

    with capture_output() as shown, plt.rc_context({"figure.dpi": 80}):
        draw(**state)
    parts = [f"<pre>{html.escape(shown.stdout)}</pre>"] if shown.stdout else []
    for data in (output.data for output in shown.outputs):
        if "image/png" in data:
            png = data["image/png"]
            coded = base64.b64encode(png).decode() if isinstance(png, bytes) else png.strip()
            parts.append(f'<img alt="{html.escape(title)}" src="data:image/png;base64,{coded}">')
        else:
            parts.append(data.get("text/html") or f"<pre>{html.escape(data.get('text/plain', ''))}</pre>")
    return "".join(parts)


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
