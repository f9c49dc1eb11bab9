"""Claims: every verdict still fits the committed results, and the page shows what they say."""

import pandas as pd
import pytest

from lib.reports import claims, evidence, other_bases
from lib.storage.folders import ROOT


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.claim[:40])
def test_a_verdict_fits_the_results_that_it_rests_on(claim):
    assert claim.verdict.startswith("open") if claim.holds is None else claim.holds()
    assert all((ROOT / path).exists() for path in claim.rests_on)
    assert claim.by in {"the paper", "the kit", "a sceptic"} and claim.would_change


def test_a_verdict_cannot_outlive_its_results(monkeypatch):
    """With the two bases' results exchanged, the verdicts that tell them apart no longer fit."""
    whole = evidence.table
    swap = {"one_wording": "many_wordings", "many_wordings": "one_wording"}

    def swapped(name, profile=evidence.PROFILE):
        found = whole(name, profile)
        return found.assign(model=found["model"].replace(swap)) if "model" in found else found

    monkeypatch.setattr(evidence, "table", swapped)
    fits = {claim.claim: claim.holds() for claim in claims.CLAIMS if claim.holds}
    assert not fits["The optimum of sharpening can be unfavourable."]
    assert not fits["Where sharpening loses against the task reward, training may have stopped too early."]


def test_accuracy_on_trained_problems_is_that_of_the_last_quarter(monkeypatch):
    runs = {f"{other_bases.MODEL}-{name}": right for name, right in (("task-s0", 0.5), ("task-s1", 0.7), ("tempered-a2-s0", 0.2))}
    rows = [(run, step, right if step >= 9 else 0.0) for run, right in runs.items() for step in range(12)]
    monkeypatch.setattr(other_bases, "table", lambda *_: pd.DataFrame(rows, columns=["run", "step", "task_accuracy"]))
    found = other_bases.on_trained_problems()
    assert found.loc["task"].tolist() == pytest.approx([0.6, 0.5, 0.7]) and found.loc["tempered", "mean"] == pytest.approx(0.2)


@pytest.mark.parametrize("where", ["held out", "trained on"])
def test_the_real_models_verdict_needs_both_of_its_halves(monkeypatch, where):
    """If the control gained as much as `sharpen`, or `task` were as `sharpen` on trained problems, it would not fit."""
    assert other_bases.sharpening_does_most_for_the_real_model()
    if where == "held out":
        own = other_bases.change
        monkeypatch.setattr(other_bases, "change", lambda model, _, profile: own(model, "sharpen", profile))
    else:
        found = other_bases.on_trained_problems()
        monkeypatch.setattr(other_bases, "on_trained_problems", lambda: found.assign(min=0.5, max=0.5))
    assert not other_bases.sharpening_does_most_for_the_real_model()


def test_the_page_shows_what_the_results_say():
    assert claims.body() in (ROOT / "docs" / "claims.md").read_text()
