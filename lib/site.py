"""`make site`: the notebooks as they ran, their solutions and the documents as pages that ask nothing from elsewhere.

Pages are laid out in runs/site/source as in the checkout, with the files that they link to, so that relative links hold; Sphinx
with docs/conf.py makes runs/site/html of them. A notebook's page shows the copy that `make reproduce` executed, if its cells are
still the same; else it is executed for the site, by the job that `make reproduce` uses, and kept until its cells, the library, or
the committed results change."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from lib.storage import files, folders
from lib.storage.errors import UsageError
from lib.storage.folders import ROOT

SITE = folders.HOME / "runs" / "site"
REPRODUCED = folders.HOME / "runs" / "quick"
CHOSEN = {"05_train": "many_wordings-task-s0", "06_evaluate": "many_wordings-task-s0"}  # of several copies, the defaults'
PROFILE = re.compile(r'^ *"PROFILE = \\"(\w+)\\"', re.MULTILINE)  # as a notebook's file has it
LONGEST = 600  # seconds that one notebook may take
DOCUMENTS = ["CONTRIBUTING.md", "LOG.md", "docs/*.md"]
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
WIDGET = "application/vnd.jupyter.widget-view+json"
NEXT = "the next notebook"  # marks the cell between two notebooks that run as one
NOT_RUN = "**This page shows the notebook before it was run: it has no outputs.** Run it in JupyterLab (`make lab`)."
TREES = {"Notebooks": "notebooks/*", "Solutions": "notebooks/solutions/*", "Documents": "docs/*", "The kit": "CONTRIBUTING\nLOG"}


def cells_of(notebook: NotebookNode) -> list[tuple[str, str]]:
    """What a notebook says and does: each cell's type and source, but for the parameters that papermill put in."""
    kept = (c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", []))
    return [(cell.cell_type, cell.source) for cell in kept]


def reproduced(path: Path) -> Path | None:
    """The copy that `make reproduce` executed, if it still says the same as the notebook at `path`, its sliders have frames, and it
    shows the profile that the text is about, which is the notebook's own."""
    copy = REPRODUCED / CHOSEN.get(path.stem, "") / path.name
    if not copy.is_file() or cells_of(nbformat.read(copy, 4)) != cells_of(nbformat.read(path, 4)):
        return None
    if set(PROFILE.findall(path.read_text(encoding="utf-8"))) - {REPRODUCED.name}:
        return None
    text = copy.read_text(encoding="utf-8")
    return copy if "kit-frames" in text or "notebooks.explore(" not in text else None


def kept(path: Path) -> Path:
    """Where a copy that was executed for the site is: its name tells what it was made of."""
    sources = [path, *sorted((ROOT / "lib").rglob("*.py")), *sorted((folders.HOME / "data/results").rglob("*.csv"))]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.read_bytes() + b"\0")
    return SITE / "notebooks" / path.parent.name / f"{path.stem}-{digest.hexdigest()[:12]}.ipynb"


def home() -> None:
    """Lays out where notebooks that are executed for the site write: the runs are those of the checkout, the results are copies,
    and figures are put aside, so that building pages changes no committed file."""
    files.remove(SITE / "home")
    (SITE / "home").mkdir(parents=True)
    (SITE / "home" / "runs").symlink_to(folders.HOME / "runs")
    if (folders.HOME / "data" / "results").is_dir():
        shutil.copytree(folders.HOME / "data" / "results", SITE / "home" / "data" / "results")


def execute(paths: Iterable[Path], workers: int = 2) -> dict[Path, Path]:
    """Executes notebooks, two at a time, and returns where the executed copies are; without those that failed, which it names.
    All solutions are one job: most of their time is the start of a kernel."""
    places = {path: kept(path) for path in paths}
    missing = [path for path, place in places.items() if not place.is_file()]
    solutions = [path for path in missing if path.parent.name == "solutions"]
    jobs = [solutions] if solutions else []
    jobs += [[path] for path in missing if path not in solutions]
    home()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda job: _execute({path: places[path] for path in job}), jobs))
    return {path: place for path, place in places.items() if place.is_file()}


def _execute(places: Mapping[Path, Path]) -> None:
    """Executes notebooks, one after the other in one kernel, as a job of `make reproduce`; `places` says where each copy goes."""
    for path, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        for old in place.parent.glob(f"{path.stem}-????????????.ipynb"):
            old.unlink()
    name = "solutions" if len(places) > 1 else next(iter(places)).stem
    asked, ran = (SITE / "notebooks" / f".{word}-{name}.ipynb" for word in ("asked", "ran"))
    nbformat.write(joined(places), asked)
    if not _ran(asked, ran, f"{len(places)} solutions" if len(places) > 1 else str(next(iter(places)).relative_to(ROOT))):
        return
    for place, notebook in zip(places.values(), split(nbformat.read(ran, 4)), strict=True):
        nbformat.write(notebook, place.with_suffix(".part"))
        place.with_suffix(".part").rename(place)
    ran.unlink()


def joined(paths: Iterable[Path]) -> NotebookNode:
    """Notebooks as one, which forgets its variables where the next one begins; a solution also shows each answer."""
    notebooks = [nbformat.read(path, 4) for path in paths]
    whole = NotebookNode(notebooks[0], cells=[])
    for number, notebook in enumerate(notebooks):
        if number:
            whole.cells.append(new_code_cell("%reset -f", metadata={"kit": NEXT}))
        for cell in notebook.cells:
            cell.id = f"{number}-{cell.id}"
            if any(tag.startswith("exercise-") for tag in cell.metadata.get("tags", [])) and not cell.source.endswith("\nanswer"):
                cell.source += "\nanswer"
            whole.cells.append(cell)
    return whole


def split(whole: NotebookNode) -> list[NotebookNode]:
    """The notebooks that were `joined`."""
    parts: list[list[NotebookNode]] = [[]]
    for cell in whole.cells:
        if cell.metadata.get("kit") == NEXT:
            parts.append([])
        else:
            parts[-1].append(cell)
    return [NotebookNode(whole, cells=cells) for cells in parts]


def _ran(asked: Path, place: Path, names: str) -> bool:
    """Executes the notebook `asked` into `place`, and says how it went."""
    command = [sys.executable, "-m", "lib.reproduce", "job", str(asked), str(place), "{}"]
    environment = {"OMP_NUM_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"} | os.environ | {"KIT_HOME": str(SITE / "home")}
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST)
        said = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no word"])[-1]
    except subprocess.TimeoutExpired:
        said = f"it took more than {LONGEST} seconds"
    result = f"shown without outputs: {said}" if said else f"{time.monotonic() - start:.0f} seconds"
    print(f"Executed {names}: {result}", flush=True)
    return not said


def page(notebook: NotebookNode, *, executed: bool = True, solution: bool = False, solved: str = "") -> NotebookNode:
    """A notebook as a page: it says if it was not run, a solution is folded, and the last cell links the solutions in `solved`."""
    notebook.metadata.pop("widgets", None)  # of progress bars: a page has no kernel for them
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.source = cell.source.replace("# Parameters\n", "# What this page was made with\n", 1)
    for cell in notebook.cells if solution else []:
        fold(cell)
    if not executed:
        notebook.cells.insert(1, new_markdown_cell(NOT_RUN))
    if solved:
        notebook.cells.append(new_markdown_cell(f"[Solutions of the exercises]({solved})"))
    return notebook


def fold(cell: NotebookNode) -> None:
    """Folds a cell of a solution: code and what it shows whole, text but for its headings and first paragraph."""
    if cell.cell_type == "code":
        cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-cell"]
        return
    blocks = cell.source.strip().split("\n\n")
    seen = next((i for i, block in enumerate(blocks) if not block.startswith("#")), len(blocks)) + 1
    reasoning = re.sub(r"^#+ (.*)$", r"**\1**", "\n\n".join(blocks[seen:]), flags=re.MULTILINE)
    if reasoning:
        folded = f"<details>\n<summary>Reasoning</summary>\n\n{reasoning}\n\n</details>"
        cell.source = "\n\n".join([*blocks[:seen], folded])


def linked(text: str, place: str, pages: Mapping[str, object], target: Path) -> str:
    """The Markdown of the page at `place`, with links that hold on the site. Files that it links or shows are copied to `target`;
    links to folders become plain text; README.md is the start page."""

    def local(link: str) -> str:
        return os.path.normpath(PurePosixPath(place).parent / link)

    def mended(match: re.Match) -> str:
        words, link, anchor = match[1], match[2], match[3] or ""
        if ":" in link or local(link) in pages:
            return match[0]
        if local(link) == "README.md":
            return f"[{words}]({os.path.relpath('index.md', PurePosixPath(place).parent)}{anchor})"
        if (ROOT / local(link)).is_dir():
            return words
        copy(local(link))
        return f"[{words}]({link})"  # an anchor in a file that is no page leads nowhere

    def copy(name: str) -> None:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)

    for image in IMAGE.findall(text):
        copy(local(image))
    return LINK.sub(mended, text)


def start_page(text: str, pages: Mapping[str, object]) -> str:
    """The README as the start page, with the tables of contents that the navigation is made of."""
    trees = [
        f"```{{toctree}}\n:caption: {caption}\n:hidden:\n:glob:\n\n{names}\n```"
        for caption, names in TREES.items()
        if any(PurePosixPath(name).match(pattern + ".*") for name in pages for pattern in names.splitlines())
    ]
    return "\n\n".join([text, *trees]) + "\n"


def lay_out(documents: Mapping[str, str], notebooks: Mapping[str, NotebookNode], target: Path) -> None:
    """Writes all pages below `target`: names, relative to the checkout, to Markdown and to notebooks."""
    files.remove(target)
    pages: dict[str, object] = {**documents, **notebooks}
    for name, text in documents.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        text = start_page(text, pages) if name == "index.md" else text
        (target / name).write_text(linked(text, name, pages, target), encoding="utf-8")
    for name, notebook in notebooks.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        for cell in notebook.cells:
            cell.source = linked(cell.source, name, pages, target) if cell.cell_type == "markdown" else cell.source
        nbformat.write(notebook, target / name)


def build(source: Path, html: Path) -> None:
    """Makes pages of `source` with Sphinx; every warning, such as a link that leads nowhere, is an error."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "2", "-c", "docs", "-d", f"{html}.cache"]
    if subprocess.run([*command, str(source), str(html)], cwd=ROOT).returncode:
        raise UsageError("The site was not built: Sphinx says why above.")


def main() -> None:
    """Builds the site from this checkout and its runs."""
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    solutions = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
    with files.lock(folders.HOME / "runs"):
        ran = {path: copy for path in paths if (copy := reproduced(path))}
        print(f"{len(ran)} notebooks were executed by `make reproduce`; the others are executed now, or were before.", flush=True)
        ran |= execute(path for path in [*paths, *solutions] if path not in ran)
        notebooks = {}
        for path in [*paths, *solutions]:
            solved = f"solutions/{path.name}" if path.parent / "solutions" / path.name in solutions else ""
            copy = nbformat.read(ran.get(path, path), 4)
            notebooks[str(path.relative_to(ROOT))] = page(copy, executed=path in ran, solution=path in solutions, solved=solved)
        documents = {str(p.relative_to(ROOT)): p.read_text() for pattern in DOCUMENTS for p in sorted(ROOT.glob(pattern))}
        lay_out({"index.md": (ROOT / "README.md").read_text()} | documents, notebooks, SITE / "source")
        build(SITE / "source", SITE / "html")
    print(f"Open {SITE / 'html' / 'index.html'}")


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        sys.exit(str(error))
