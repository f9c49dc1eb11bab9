"""Tables that pages show but nobody writes by hand: they go between two markers, from results and from the registries.

`python -m lib.reports.pages`, or `make table`, brings the README and the pages up to date."""

import sys

from lib.data.sets import SETS
from lib.reports import claims, markdown, results
from lib.rewards.objectives import OBJECTIVES
from lib.storage import files
from lib.storage.errors import UsageError
from lib.storage.folders import ROOT


def objectives() -> str:
    """The registry of objectives as a table: name, reward, where it leads, its default numbers."""
    rows = []
    for one in OBJECTIVES.values():
        numbers = [f"$\\alpha = {one.alpha:g}$"] if one.alpha is not None else []
        numbers += [f"$\\beta^{{-1}} = {one.beta_inv:g}$"] if one.beta_inv is not None and one.alpha is not None else []
        rows.append([f"`{one.name}`", f"${one.formula}$", one.leads_to, ", ".join(numbers) or "–"])
    return markdown.table(["objective", "reward $R$", "where it leads", "default numbers"], rows)


def data_sets() -> str:
    """The registry of data sets as a table: name, splits."""
    rows = []
    for one in SETS.values():
        splits = [*(["train", "validation"] if one.train else []), *(["test"] if one.test else [])]
        rows.append([f"`{one.name}`", ", ".join(splits)])
    return markdown.table(["`data`", "splits"], rows)


README = "cpu"  # the profile whose results the README shows


def update() -> None:
    """Puts every generated table into its page, between the markers `<!-- name: make table -->` and `<!-- end of name -->`."""
    tables = [(ROOT / "README.md", "results", results.markdown(README))]
    tables += [(ROOT / "docs/objectives.md", "objectives", objectives()), (ROOT / "docs/data.md", "data sets", data_sets())]
    tables += [(ROOT / "docs/claims.md", "claims", claims.body())]
    for path, name, table in tables:
        begin, end = f"<!-- {name}: make table -->", f"<!-- end of {name} -->"
        before, rest = path.read_text(encoding="utf-8").split(begin)
        with files.atomic(path) as temporary:
            temporary.write_text(f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}", encoding="utf-8")


if __name__ == "__main__":
    try:
        update()
    except UsageError as error:
        sys.exit(str(error))
