"""Generated tables of the pages: they are what the registries say now, and `make table` puts them there."""

import pytest

from lib.reports import pages
from lib.storage.folders import ROOT


@pytest.mark.parametrize(("page", "table"), [("objectives", pages.objectives), ("data", pages.data_sets)])
def test_pages_show_the_registries(page, table):
    assert table() in (ROOT / "docs" / f"{page}.md").read_text()


def test_tables_are_put_between_their_markers_and_nothing_else_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages.results, "markdown", lambda profile: f"| table of {profile} |")
    (tmp_path / "docs").mkdir()
    written = {"README.md": "results", "docs/objectives.md": "objectives", "docs/data.md": "data sets"}
    written["docs/claims.md"] = "claims"
    for path, name in written.items():
        (tmp_path / path).write_text(f"before\n<!-- {name}: make table -->\nold\n<!-- end of {name} -->\nafter\n")
    pages.update()
    readme = (tmp_path / "README.md").read_text()
    begin, end = "<!-- results: make table -->", "<!-- end of results -->"
    assert readme == f"before\n{begin}\n| table of {pages.README} |\n{end}\nafter\n"
    assert pages.objectives() in (tmp_path / "docs/objectives.md").read_text()


def test_the_readme_is_for_a_person_who_arrives():
    """At most 130 lines and 1,200 words; all else is on a page."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130 and len(text.split()) <= 1200


def test_links_between_pages_lead_somewhere():
    import re

    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
