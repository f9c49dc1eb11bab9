"""Claims: every verdict still fits the committed results, and the page shows what they say."""

import pytest

from lib.reports import claims, evidence
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


def test_the_page_shows_what_the_results_say():
    assert claims.body() in (ROOT / "docs" / "claims.md").read_text()
