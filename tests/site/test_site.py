"""The site: pages that ask for nothing from elsewhere, sliders that move without a kernel, folded solutions, links that hold."""

import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_output

from lib import notebooks, site
from lib.storage import folders
from lib.storage.errors import UsageError
from tests.site.conftest import notebook

BUILT = folders.HOME / "runs" / "site" / "html"
REMOTE = re.compile(r"^\s*(https?:|//)")


class Assets(HTMLParser):
    """What a page loads: sources of any element, what <link> names, and the texts of its scripts and styles."""

    def __init__(self, page: Path):
        super().__init__()
        self.addresses, self.texts, self.inside = [], [], ""
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.inside = tag if tag in ("script", "style") else ""
        self.addresses += [found[name] for name in ("src", "srcset", "data", "poster") if found.get(name)]
        self.addresses += [found["href"]] if tag in ("link", "image", "use") and found.get("href") else []

    def handle_data(self, data):
        self.texts += [data] if self.inside else []

    def handle_endtag(self, tag):
        self.inside = ""


def test_no_page_loads_anything_from_elsewhere(tiny):
    pages = sorted(tiny.rglob("*.html"))
    assert {"index.html", "sliders.html", "rewards.html", "search.html"} <= {page.name for page in pages}
    for page in pages:
        assets = Assets(page)
        assert assets.addresses and not [address for address in assets.addresses if REMOTE.match(address)], page
        assert not [text for text in assets.texts if re.search(r"https?://|require", text)], page
    for sheet in tiny.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?\s*(https?:|//)", sheet.read_text()), sheet
    assert (tiny / "_static" / "tex-svg.js").is_file() and 'src="_static/tex-svg.js' in (tiny / "index.html").read_text()


def test_a_notebook_is_shown_as_it_ran_or_says_that_it_did_not(tiny):
    text = {name: (tiny / "notebooks" / f"{name}.html").read_text() for name in ("table", "changed", "fails")}
    assert "column 29" in text["table"] and "a bar" not in text["table"]  # reproduced, never executed here: its code would fail
    assert "42" in text["changed"] and "before" not in text["changed"]
    assert "before it was run" in text["fails"] and "before it was run" not in text["changed"] + text["table"]
    assert 'href="solutions/changed.html"' in text["changed"] and "solutions/fails.html" not in text["fails"]


def test_what_was_executed_is_used_again(tiny):
    kept = sorted((tiny.parent / "notebooks").rglob("*.ipynb"))
    names = {re.sub("-[0-9a-f]{12}", "", path.name) for path in kept if not path.name.startswith(".")}
    assert names == {"changed.ipynb", "sliders.ipynb"}
    assert {path.parent.name for path in kept} == {"notebooks", "solutions"}


def test_links_hold(tiny):
    start, rewards = (tiny / "index.html").read_text(), (tiny / "docs" / "rewards.html").read_text()
    for target in ("docs/rewards.html", "notebooks/sliders.html", "notebooks/solutions/changed.html", "LOG.html"):
        assert f'href="{target}"' in start
    assert "the folder" in start and re.search(r'href="_downloads/[0-9a-f]+/LICENSE"', start)
    assert 'href="../index.html"' in rewards and 'href="other.html#a-proof"' in rewards and "numbers.csv" in rewards


def test_a_link_that_leads_nowhere_is_an_error(tiny, tmp_path, capfd):
    site.lay_out({"index.md": "# Start\n\n[there](docs/there.md)\n"}, {}, tmp_path / "source")
    with pytest.raises(UsageError, match="Sphinx says why"):
        site.build(tmp_path / "source", tmp_path / "html")
    assert "docs/there.md" in capfd.readouterr().err


def test_a_solution_is_folded(tiny):
    page = (tiny / "notebooks" / "solutions" / "changed.html").read_text()
    question, reasoning, code = page.index("How many?"), page.index("Because"), page.index("answer")
    assert question < page.index("<summary>Reasoning</summary>") < reasoning
    assert "<details" in page[reasoning:] and ">42" in page[code:] and "<h2>Why" not in page


def test_solutions_share_a_kernel_but_no_variables(tiny):
    page = (tiny / "notebooks" / "solutions" / "sliders.html").read_text()
    assert ">44" in page and "reset" not in page and "How many?" not in page
    assert "remembered" not in (tiny / "notebooks" / "solutions" / "changed.html").read_text()


def test_each_slider_has_its_frames_with_the_others_at_their_start(tiny):
    page = (tiny / "notebooks" / "sliders.html").read_text()
    frames = re.findall(r'class="kit-frame" data-at="([^"]*)" title="alpha = ([^"]*), wordings = (\d)"( hidden)?', page)
    alphas = [float(alpha) for at, alpha, _, _ in frames if "0:" in at]
    assert alphas == sorted(alphas) and (alphas[0], alphas[-1]) == (0.5, 4) and 12 <= len(alphas) <= 13
    wordings = {(at.split()[-1], alpha, number) for at, alpha, number, _ in frames if "1:" in at}
    assert wordings == {(f"1:{index}", "2", str(index + 1)) for index in range(9)}
    assert [frame[1:3] for frame in frames if not frame[-1]] == [("2", "3")] and len(frames) == len(alphas) + 8
    images = re.findall(r'<img alt="alpha = [^"]*" src="data:image/png;base64,([^"]*)"', page)
    assert len(set(images)) == len(frames) and sum(map(len, images)) < 300_000
    assert page.count("<pre>alpha is") == len(frames) and "In JupyterLab they move together" in page


def test_tables_that_a_cell_displays_as_markdown_are_tables(tiny):
    page = (tiny / "notebooks" / "table.html").read_text()
    assert "<td><p>worked</p></td>" in page and "|---" not in page


def test_the_positions_of_a_dial():
    from ipywidgets import Dropdown, FloatLogSlider, FloatSlider, IntSlider

    assert notebooks._positions(IntSlider(3, 1, 4)) == [1, 2, 3, 4]
    wide = notebooks._positions(IntSlider(20, 1, 100))
    assert len(wide) == 13 and 20 in wide and wide[0] == 1 and wide[-1] == 100 and all(type(value) is int for value in wide)
    assert notebooks._positions(FloatLogSlider(10, min=0, max=2, step=1)) == [1, 10, 100]
    assert notebooks._positions(FloatSlider(0.3, min=0, max=0.4)) == [0, 0.1, 0.2, 0.3, 0.4]
    assert notebooks._positions(Dropdown(options=[("one", 1), ("two", 2)])) == [1, 2]
    assert notebooks._positions(True) == notebooks._positions(0.5) == []


def test_a_digest_knows_the_notebook_and_the_library(tmp_path, monkeypatch):
    path = tmp_path / "notebooks" / "a.ipynb"
    path.parent.mkdir()
    (tmp_path / "lib").mkdir()
    monkeypatch.setattr(site, "ROOT", tmp_path)
    places = []
    for text, library in (("1", "x = 1"), ("1", "x = 2"), ("2", "x = 2")):
        path.write_text(text)
        (tmp_path / "lib" / "a.py").write_text(library)
        places += [site.kept(path), site.kept(path)]
    assert len(set(places)) == 3 and places[0] == places[1]


def test_a_reproduced_copy_must_say_the_same_and_have_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "REPRODUCED", tmp_path / "quick")
    (tmp_path / "quick").mkdir()
    asks = new_code_cell("notebooks.explore(draw, alpha=dial)")
    framed = new_code_cell(asks.source, outputs=[new_output("display_data", {"text/html": '<div class="kit-frames">'})])
    found = []
    for mine, theirs in ((asks, asks), (asks, framed), (new_code_cell("1"), framed), (new_code_cell("1"), new_code_cell("1"))):
        nbformat.write(notebook("# Title", mine), tmp_path / "a.ipynb")
        nbformat.write(notebook("# Title", theirs), tmp_path / "quick" / "a.ipynb")
        found.append(site.reproduced(tmp_path / "a.ipynb") is not None)
    assert found == [False, True, False, True] and site.reproduced(tmp_path / "b.ipynb") is None


@pytest.mark.parametrize(("own", "used"), [("quick", True), ("cpu", False)])
def test_a_copy_of_another_profile_than_the_notebooks_own_is_not_shown(own, used, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "REPRODUCED", tmp_path / "quick")
    (tmp_path / "quick").mkdir()
    made = notebook("# Title", new_code_cell(f'PROFILE = "{own}"  # whose results are shown\nOTHER = 1'))
    for folder in (tmp_path, tmp_path / "quick"):
        (folder / "a.ipynb").write_text(nbformat.writes(made))
    assert (site.reproduced(tmp_path / "a.ipynb") is not None) is used


def test_parameters_that_papermill_put_in_do_not_count():
    mine = notebook("# Mine", new_code_cell("x = 1"))
    theirs = notebook("# Mine", new_code_cell("x = 1"), new_code_cell("x = 2", metadata={"tags": ["injected-parameters"]}))
    assert site.cells_of(mine) == site.cells_of(theirs) != site.cells_of(notebook("# Mine", new_code_cell("x = 2")))


def look(page, path: Path) -> None:
    """Opens a page, waits for its mathematics, and moves its sliders."""
    page.goto(path.as_uri())
    if page.locator(".math").count():
        page.wait_for_function("window.MathJax?.startup?.promise !== undefined")
        page.evaluate("MathJax.startup.promise")
        assert page.locator("mjx-container").count() >= page.locator(".math").count() > 0, path
        assert page.locator("[data-mjx-error], mjx-merror").count() == 0, path
    for box in page.locator(".kit-frames").all():
        shown = box.locator(".kit-frame:visible")
        before, dials = shown.get_attribute("title"), box.locator("input")
        for dial in dials.all():
            dial.focus()
            page.keyboard.press("ArrowLeft" if dial.input_value() != "0" else "ArrowRight")
            assert shown.count() == 1 and shown.get_attribute("title") != before
            assert ", ".join(box.locator("output").all_inner_texts()) == shown.get_attribute("title")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), f"{path} is too wide"


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True], ids=["tiny", "whole"])
def test_every_page_works_offline(request, browser, whole):
    """Chromium opens every page as a file, with no network; the whole site if it was built here."""
    if whole and not (BUILT / "index.html").is_file():
        pytest.skip("needs the site: make site")
    folder = BUILT if whole else request.getfixturevalue("tiny")
    context, troubles, sliders = browser.new_context(offline=True), [], 0
    context.set_default_timeout(180_000)  # milliseconds, for a busy machine
    page = context.new_page()
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else troubles.append(request.url))
    page.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))
    for path in sorted(folder.rglob("*.html")):
        look(page, path)
        sliders += page.locator(".kit-frames").count()
        assert not troubles, (path, troubles)
    assert sliders
    page.goto(f"{(folder / 'search.html').as_uri()}?q=rewards")
    page.locator("#search-results li a").first.wait_for()
    assert not troubles, troubles
    context.close()


@pytest.mark.slow
def test_a_solution_unfolds(browser, tiny):
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((tiny / "notebooks" / "solutions" / "changed.html").as_uri())
    assert not page.get_by_text("Because").is_visible() and not page.get_by_text("answer = 41").is_visible()
    for summary in page.locator("article summary").all():
        summary.click()
    assert page.get_by_text("Because").is_visible() and page.locator(".cell_output", has_text="42").first.is_visible()
    context.close()
