"""JupyterLab in Chromium: each notebook opens, runs to its end without an error, and its first slider changes what is shown."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from lib.storage import folders

pytestmark = pytest.mark.slow
NAMES = sorted(path.stem for path in (folders.ROOT / "notebooks").glob("*.ipynb"))
LEFT_OUT = {"05_train": "trains for minutes; tests/commands/test_pipeline.py runs it at smoke size"}
MINUTES = 10  # that a notebook may take, on a busy machine
CELLS = "jupyterapp.shell.currentWidget.content.model.toJSON().cells"
READY = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
RUN = "() => {window.ran = false; jupyterapp.commands.execute('notebook:run-all-cells').then(() => {window.ran = true})}"
GO_TO = """async index => {
    const notebook = jupyterapp.shell.currentWidget.content;
    notebook.activeCellIndex = index;
    await notebook.scrollToItem(index, 'center');
}"""
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that serves a copy of the notebooks, as on a fresh clone; what they write goes to a folder."""
    home, token = tmp_path_factory.mktemp("lab"), secrets.token_hex(16)
    shutil.copytree(folders.ROOT / "notebooks", home / "notebooks")
    shutil.copytree(folders.ROOT / "data" / "results", home / "data" / "results")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = [f"--ServerApp.port={port}", f"--ServerApp.root_dir={home}", f"--IdentityProvider.token={token}", "--no-browser"]
    settings += ["--ip=127.0.0.1", "--allow-root", "--expose-app-in-browser"]
    settings += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None"]
    path = f"{folders.ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = os.environ | {"KIT_HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    environment |= {"JUPYTER_CONFIG_DIR": str(home / "settings")}
    with (home / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *settings], env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api?token={token}", server)
        # each in a workspace of its own: a shared one opens the notebooks before it again
        yield lambda name: f"{address}/lab/workspaces/{name}/tree/notebooks/{name}.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait(60)


def wait_for(address: str, server: subprocess.Popen) -> None:
    """Waits until a server answers, two minutes at most."""
    for _ in range(240):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            assert server.poll() is None, "JupyterLab ended: look at its log"
            time.sleep(0.5)
    raise TimeoutError(address)


@pytest.fixture
def page(browser):
    """A page, and afterwards no request that left this machine."""
    context, left = browser.new_context(viewport={"width": 1400, "height": 1000}), []
    page = context.new_page()
    page.set_default_timeout(MINUTES * 60_000)
    local = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(local) else left.append(request.url))
    yield page
    context.close()
    assert not left


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_its_slider_moves(name, lab, page):
    if name in LEFT_OUT:
        pytest.skip(LEFT_OUT[name])
    page.goto(lab(name))
    page.wait_for_function(READY)
    page.evaluate(RUN)
    page.wait_for_function("window.ran")
    page.wait_for_function(READY)
    code = [(index, cell) for index, cell in enumerate(page.evaluate(CELLS)) if cell["cell_type"] == "code"]
    errors = [output for _, cell in code for output in cell["outputs"] if output["output_type"] == "error"]
    assert not errors and all(cell["execution_count"] for _, cell in code)
    dials = [index for index, cell in code if any(VIEW in output.get("data", {}) for output in cell["outputs"])]
    explored = [index for index, cell in code if "notebooks.explore(" in "".join(cell["source"])]
    assert set(explored) <= set(dials)
    if explored:
        move(page, explored[0])


def move(page, index: int) -> None:
    """Moves the first slider of a cell by one step, and waits until what it shows has changed."""
    page.evaluate(GO_TO, index)
    cell = page.locator(".jp-Notebook-cell.jp-mod-active")
    shown = cell.locator(".jupyter-widgets.jp-OutputArea, .widget-output, .jupyter-widget-output").first
    shown.locator("img, pre, table").first.wait_for()
    before = shown.inner_html()
    handle = cell.locator(".noUi-handle").first
    handle.focus()
    handle.press("ArrowRight")
    deadline = time.monotonic() + 60
    while shown.inner_html() == before:
        assert time.monotonic() < deadline, "the slider moved, and nothing changed"
        page.wait_for_timeout(200)
    assert "Traceback" not in shown.inner_text()
