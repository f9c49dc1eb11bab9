"""A browser without a network, and a tiny checkout of which a site is built."""

import importlib.util
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib import site
from lib.storage import folders

SLIDERS = """
import matplotlib.pyplot as plt
from ipywidgets import FloatSlider, IntSlider
from lib import notebooks

def draw(alpha, wordings):
    figure, ax = plt.subplots(figsize=(3, 2))
    ax.plot([0, alpha], [0, wordings])
    plt.show()
    print(f"alpha is {alpha:g}")

notebooks.explore(draw, alpha=FloatSlider(value=2, min=0.5, max=4), wordings=IntSlider(3, 1, 9))
"""
TABLE = "<table><tr>" + "".join(f"<td>column {n}</td>" for n in range(30)) + "</tr></table>"
VIEW = {"model_id": "0" * 32, "version_major": 2, "version_minor": 0}
README = """# A kit

[Rewards](docs/rewards.md), [sliders](notebooks/sliders.ipynb), [the licence](LICENSE), [the folder](notebooks/), and $p^\\alpha$.
"""
REWARDS = """# Rewards

As in [the README](../README.md) and [below](other.md#a-proof): [numbers](../data/numbers.csv), [elsewhere](https://example.org).

| symbol | meaning |
|---|---|
| $S_p$ | $\\log p(y \\mid x)$ |

$$\\mathrm{KL}(\\pi\\Vert p)=\\sum_y\\pi(y)\\log\\frac{\\pi(y)}{p(y)}$$
"""


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by Playwright."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("needs Playwright: .venv/bin/pip install -r requirements-browser.txt")
    from playwright import sync_api

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium)
        yield started
        started.close()


def notebook(*cells) -> nbformat.NotebookNode:
    """A notebook of Markdown texts and code cells."""
    made = [new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    return new_notebook(cells=made, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})


def write(root: Path) -> None:
    """A checkout with four notebooks: one with sliders, one that was reproduced, one that changed since, and one that fails."""
    shown = [
        new_output("display_data", {"text/plain": "a bar", site.WIDGET: VIEW}),
        new_output("display_data", {"text/html": TABLE}),
        new_output("display_data", {"text/markdown": "| completion | $S_p$ |\n|---|---|\n| worked | $-6.54$ |"}),
    ]
    table = notebook("# A table", "From $p$ to [rewards](../docs/rewards.md).", new_code_cell("table", outputs=shown))
    changed = notebook("# Changed", new_code_cell("print(6 * 7)"))
    solution = notebook(
        "# Solutions", "**Exercise 1.** How many?\n\n## Why\n\nBecause $6\\cdot 7$.", new_code_cell("answer = 41 + 1")
    )
    second = notebook("# Solutions to the second", new_code_cell("answer = 'remembered' if 'answer' in globals() else 11 * 4"))
    for made in (solution, second):
        made.cells[-1].metadata["tags"] = ["exercise-1"]
    found = {
        "notebooks/sliders.ipynb": notebook("# Sliders", new_code_cell(SLIDERS)),
        "notebooks/table.ipynb": table,
        "notebooks/changed.ipynb": changed,
        "notebooks/fails.ipynb": notebook("# Fails", new_code_cell("1 / 0")),
        "notebooks/solutions/changed.ipynb": solution,
        "notebooks/solutions/sliders.ipynb": second,
        "runs/quick/table.ipynb": table,
        "runs/quick/changed.ipynb": notebook("# Changed", new_code_cell("print('before')")),
    }
    texts = {name: nbformat.writes(made) for name, made in found.items()}
    texts |= {"README.md": README, "docs/rewards.md": REWARDS, "docs/other.md": "# Other\n\n## A proof\n\nYes.\n"}
    texts |= {"CONTRIBUTING.md": "# Contributing\n", "LOG.md": "# Log\n", "LICENSE": "free", "data/numbers.csv": "1\n"}
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in ("conf.py", "site.css"):
        shutil.copy(folders.ROOT / "docs" / name, root / "docs" / name)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of a site that `make site` would build of a tiny checkout."""
    for package in ("sphinx", "myst_nb", "furo"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}: .venv/bin/pip install -r requirements-site.txt")
    root = tmp_path_factory.mktemp("checkout")
    write(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "ROOT", root)
        patch.setattr(site, "SITE", root / "runs" / "site")
        patch.setattr(site, "REPRODUCED", root / "runs" / "quick")
        patch.setattr(folders, "HOME", root)
        site.main()
    return root / "runs" / "site" / "html"
