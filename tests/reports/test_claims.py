"""Claims: every verdict still fits the committed results, and the page shows what they say."""

import pandas as pd
import pytest

from lib.reports import claims, evidence, other_bases, rounds
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


@pytest.mark.parametrize(
    ("sharpening", "flattening", "refusal", "said"),
    [
        ([0.2, 0.4], [None, None], [None, None], "30% sharpening"),
        ([None, None], [0.2, 0.4], [None, None], "30% flattening"),
        ([0.01, None], [None, 0.03], [None, None], "sharpening in 1 and flattening in 1 of its runs, at most 3.0%"),
        ([0.01, None], [None, None], [None, "few samples"], "refused in 1 of its 2 runs"),
    ],
)
def test_an_audit_is_summed_up_over_its_runs(monkeypatch, sharpening, flattening, refusal, said):
    shares = {"share_sharpening": sharpening, "share_flattening": flattening, "refusal": refusal}
    monkeypatch.setattr(evidence, "table", lambda *_: pd.DataFrame(shares).assign(model="m", objective="task"))
    assert evidence.sharpening("m", "task") == said


def test_accuracy_on_trained_problems_is_that_of_the_last_quarter(monkeypatch):
    runs = {f"{other_bases.MODEL}-{name}": right for name, right in (("task-s0", 0.5), ("task-s1", 0.7), ("tempered-a2-s0", 0.2))}
    rows = [(run, step, right if step >= 9 else 0.0) for run, right in runs.items() for step in range(12)]
    monkeypatch.setattr(other_bases, "table", lambda *_: pd.DataFrame(rows, columns=["run", "step", "task_accuracy"]))
    found = other_bases.on_trained_problems()
    assert found.loc["task"].tolist() == pytest.approx([0.6, 0.5, 0.7]) and found.loc["tempered", "mean"] == pytest.approx(0.2)


@pytest.mark.parametrize("broken", ["control", "task", "greedy", "limit", "trained on"])
def test_the_real_models_verdict_needs_each_of_its_parts(monkeypatch, broken):
    """The control gains as `sharpen` did; `task` is clearly better; greedy decoding is worse; the control moved; none learnt."""
    own, table = other_bases.held_out_is_sharpened_and_trained_is_learnt, other_bases.table
    assert own()
    change, greedy = other_bases.change, {"accuracy_greedy": 0.5, "accuracy_sampled": 0.5}
    trained = other_bases.on_trained_problems()
    new = {
        "control": ("change", lambda model, _, profile: change(model, "sharpen", profile)),
        "task": ("task_beyond", lambda *_: evidence.Interval(0.2, 0.1, 0.3)),
        "greedy": ("accuracy", lambda *_: pd.Series(greedy)),
        "limit": ("table", lambda name, profile: table(name, profile).assign(**{"allowed": False} if name == "control" else {})),
        "trained on": ("on_trained_problems", lambda: trained.assign(min=0.5, max=0.5)),
    }
    monkeypatch.setattr(other_bases, *new[broken])
    assert not own()


@pytest.mark.parametrize("broken", ["a seed", "the optimum", "the control", "a base"])
def test_the_familys_verdict_needs_each_of_its_parts(monkeypatch, broken):
    """A seed on the other side; an optimum on the other side; a control that moved; a base that is missing."""
    table = other_bases.table
    assert other_bases.one_wording_helps()

    def changed(name, profile):
        found = table(name, profile)
        if broken == "the control" and name == "control":
            return found.assign(allowed=[False, *found["allowed"][1:]])
        if name == "family" and broken == "a seed":
            return found.assign(lowest_seed=0.0)
        if name == "family" and broken == "the optimum":
            return found.assign(optimum=0.55)
        return found.iloc[1:] if name == "family" and broken == "a base" else found

    monkeypatch.setattr(other_bases, "table", changed)
    assert not other_bases.one_wording_helps()


@pytest.mark.parametrize("broken", ["too near", "too far", "task", "the control", "accuracy"])
def test_the_verdict_on_rounds_needs_each_of_its_parts(monkeypatch, broken):
    """Pairs that grew too little; too much; those of `task`; a control that moved; a seed that is far better."""
    table = evidence.table
    assert rounds.seeds_separate_alike()

    def changed(name, profile):
        found = table(name, profile)
        if broken == "the control" and name == "control":
            return found.assign(allowed=[False, *found["allowed"][1:]])
        if broken == "accuracy" and name == "labels":
            return found.assign(highest_seed=1.0)
        runs = {"too near": ("many_wordings", "tempered"), "too far": ("one_wording", "tempered"), "task": ("one_wording", "task")}
        if name == "between" and broken in runs:
            model, objective = runs[broken]
            last = found.eval("model == @model and objective == @objective and round == 3 and seed == 0")
            found.loc[last, "log_odds_spread"] = 0.1 if broken == "too near" else 9.0
        return found

    monkeypatch.setattr(evidence, "table", changed)
    assert not rounds.seeds_separate_alike()


def test_the_page_shows_what_the_results_say():
    assert claims.body() in (ROOT / "docs" / "claims.md").read_text()
