"""What notebooks need beside the rooms: parameters that are checked, and sliders that do no harm where nobody can move them."""

import ast
import difflib
from collections.abc import Callable, Mapping
from typing import Any

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
