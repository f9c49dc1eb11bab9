"""What notebooks need beside the rooms: parameters that are checked, sliders that do no harm where nobody can move them, and
exercises whose answers can be checked."""

import ast
import base64
import difflib
import html
import math
import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from lib.storage import files
from lib.storage.errors import UsageError
from lib.storage.folders import ROOT


def check_parameters(notebook: str, namespace: MutableMapping[str, object]) -> None:
    """Refuses names in `namespace` that are a parameter misspelt: upper case and not set by the notebook's cell tagged
    `parameters`, or set there in upper case. papermill only warns about a misspelt parameter and then runs with the default; this
    raises UsageError instead. It looks once: where all cells run again in the same kernel, the notebook's own variables are there
    as well, and are no parameters."""
    if CHECKED in namespace:
        return
    cells = files.read_json(ROOT / "notebooks" / f"{notebook}.ipynb")["cells"]
    source = next("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
    assigned = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    known = {target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)}
    names = [n for n in namespace if not n.startswith("_") and n not in {*known, "In", "Out"}]  # In, Out: IPython's own
    for name in sorted(n for n in names if n.isupper() or n.upper() in known):
        close = difflib.get_close_matches(name.upper(), known, 1)
        advice = f"did you mean {close[0]}?" if close else f"this notebook has {', '.join(sorted(known))}."
        raise UsageError(f"Unknown parameter {name}: {advice}")
    namespace[CHECKED] = True


CHECKED = "_parameters_are_checked"  # a name in a notebook
FRAMES = "KIT_FRAMES"  # set where a notebook is executed to be read: by lib.reproduce, and so for `make site`
SHOW = (  # a dial that is moved shows its frame; the others go back to their start, which is where all frames have them
    "const box = this.closest('.kit-frames'), at = this.name + ':' + this.value;"
    "box.querySelectorAll('input').forEach(dial => {if (dial !== this) dial.value = dial.dataset.start;"
    "dial.nextElementSibling.textContent = dial.dataset.names.split('|')[dial.value]});"
    "box.querySelectorAll('.kit-frame').forEach(frame => {frame.hidden = !frame.dataset.at.split(' ').includes(at)})"
)


def explore(draw: Callable[..., None], **controls: Any) -> None:
    """A slider for each control (an ipywidgets widget), and below them what `draw` shows for their values. Where nobody can move a
    slider, as under papermill, there are no widgets: with many of them nbclient and ipykernel were seen to wait for each other
    without end. There `draw` shows the first state or, if KIT_FRAMES is set, frames for each slider, which a browser moves without
    a kernel, one at a time."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    start = {name: getattr(control, "value", control) for name, control in controls.items()}
    dials = {name: values for name, control in controls.items() if (values := _positions(control))}
    if kernel is not None and kernel.get_parent("shell").get("content", {}).get("allow_stdin"):
        from ipywidgets import interact

        interact(draw, **controls)
    elif dials and os.environ.get(FRAMES):
        from IPython.display import HTML, display

        display(HTML(_frames(draw, start, dials)))
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


def _frames(draw: Callable[..., None], start: Mapping[str, Any], dials: Mapping[str, Sequence[Any]]) -> str:
    """HTML: a slider for each dial, and what `draw` shows for each of its values, with all others at their start. A frame says at
    which positions of which dials it is shown, as `0:3 1:5`."""
    places: dict[tuple, list[str]] = {}  # where a frame is shown: the start once for all dials
    for number, (dial, values) in enumerate(dials.items()):
        for index, value in enumerate(values):
            places.setdefault(tuple({**start, dial: value}.items()), []).append(f"{number}:{index}")
    frames, sliders = [], []
    for state, at in places.items():
        title = ", ".join(_title(dial, dict(state)[dial]) for dial in dials)
        hidden = "" if dict(state) == start else " hidden"
        head = f'<div class="kit-frame" data-at="{" ".join(at)}" title="{html.escape(title)}"{hidden}>'
        frames.append(f"{head}{_frame(draw, dict(state), title)}</div>")
    for number, (dial, values) in enumerate(dials.items()):
        names, first = [html.escape(_title(dial, value)) for value in values], list(values).index(start[dial])
        data = f'name="{number}" value="{first}" data-start="{first}" data-names="{"|".join(names)}"'
        slider = f'<input type="range" min="0" max="{len(values) - 1}" {data} autocomplete="off" oninput="{SHOW}">'
        sliders.append(f"<label>{slider} <output>{names[first]}</output></label><br>")
    note = "<small>Move one at a time: the others go back. In JupyterLab they move together.</small>" if len(dials) > 1 else ""
    return f'<div class="kit-frames">{"".join(sliders)}{note}{"".join(frames)}</div>'


def _title(dial: str, value: Any) -> str:
    return f"{dial} = {value:.4g}" if isinstance(value, float) else f"{dial} = {value}"


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
    None is no answer yet. A whole number must be exact; any other may be off by one percent or be rounded to two digits; a text may
    be in upper or lower case.

    What is right is computed by the cell of `notebooks/solutions/` that is tagged `exercise-1` and so on, and sets `answer`."""
    if answer is None or answer is ...:
        print(f"Exercise {number}: write your answer into this cell, and run it again.")
        return
    right = solution(notebook, number)
    if isinstance(answer, str) and not isinstance(right, str):
        wanted = f"a list of {len(right)} answers" if isinstance(right, Sequence | np.ndarray) else "a number, without quotes"
        print(f"Exercise {number}: write {wanted}.")
        return
    print(f"Exercise {number}: {'right.' if _same(answer, right) else 'not yet. Try again, or look into notebooks/solutions/.'}")


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
    if isinstance(right, Integral):
        return given == right
    rounded = float(f"{right:.2g}")
    return any(math.isclose(given, near, rel_tol=off, abs_tol=1e-9) for near, off in ((right, 0.01), (rounded, 1e-9)))
