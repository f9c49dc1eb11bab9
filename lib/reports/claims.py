"""What the paper, this kit and its sceptics claim, and what committed results say of it: `docs/claims.md`.

Each claim's numbers are computed from result files, and its verdict rests on a comparison (`holds`) that the tests make again, so
that a verdict cannot outlive the results that it was given for."""

from collections.abc import Callable
from dataclasses import dataclass

from lib.reports import evidence, markdown, other_bases, rounds
from lib.reports.evidence import BASES, LONGER, PROFILE


@dataclass(frozen=True)
class Claim:
    """`claim` in a sentence, and who makes it (`by`); the `verdict` in words, with `evidence` from the files `rests_on`, and what
    `would_change` it. `holds` says whether the results still are those that the verdict was given for; None if there are none."""

    claim: str
    by: str
    verdict: str
    evidence: Callable[[], str]
    holds: Callable[[], bool] | None
    rests_on: tuple[str, ...]
    would_change: str


CLAIMS = (
    Claim(
        "The optimum of sharpening can be unfavourable.",
        "the paper",
        "holds where the likeliest completions are wrong, and not where they are right",
        evidence.of_optima,
        evidence.optimum_decides,
        (f"data/results/{PROFILE}/optimum.csv", f"figures/{PROFILE}_own_optimum.png"),
        "Nothing, for these two bases: the optimum is computed, not sampled. It is open how many real bases are of which kind.",
    ),
    Claim(
        "The gains of sharpening are limited, and those of a task reward are robust.",
        "the paper",
        "holds on `many_wordings`; fails on `one_wording`, where `sharpen` is as accurate as `task` after longer training",
        evidence.of_gains,
        evidence.sharpening_catches_up_on_one,
        (*(f"data/results/{one}/differences.csv" for one in (PROFILE, LONGER)), f"figures/{LONGER}_final_accuracy.png"),
        "More bases. These two were made so that the likeliest completions are mostly right for one, mostly wrong for the other.",
    ),
    Claim(
        "Sharpening is unstable.",
        "the paper",
        "not found in three weak rounds: seeds of `tempered` separate about as fast as those of the control and of `task`",
        rounds.of_drift,
        rounds.seeds_separate_alike,
        ("data/results/rounds/between.csv", *(f"figures/rounds_{model}_apart.png" for model in evidence.BASES)),
        "Rounds that arrive at their optimum, or more of them, and seeds that then separate faster than the control's.",
    ),
    Claim(
        "Where sharpening loses against the task reward, training may have stopped too early.",
        "a sceptic",
        "right on `one_wording`: `sharpen` catches up; wrong on `many_wordings`: it arrives at its optimum, below the base",
        evidence.of_arrival,
        evidence.arrival_differs,
        (*(f"data/results/{one}/optimum.csv" for one in (PROFILE, LONGER)), f"figures/{LONGER}_own_optimum.png"),
        "A run on `one_wording` that comes nearer to its optimum, for instance with all weights trained instead of an adapter.",
    ),
    Claim(
        "RL with a task reward teaches these bases something that they could not do.",
        "a sceptic",
        "mostly fails on sums of up to four digits: the bases can do them if they show their work, and RL makes them show it; "
        "five points are left. Fails on sums of five digits, tried on `one_wording`: no run solves one",
        lambda: f"{evidence.of_elicitation()}\n\n{evidence.of_beyond()}.",
        lambda: all(map(evidence.is_elicited, BASES)) and evidence.controlled() and evidence.nothing_is_beyond(),
        (
            *(f"data/results/{PROFILE}/elicitation.csv", f"figures/{PROFILE}_elicitation.png"),
            *("data/results/digits/beyond.csv", "data/results/digits/steps.csv"),
        ),
        "A problem that the base never solves in many tries, and a run that does. The network could do it: trained by supervision "
        "it gets most such sums (LOG.md). Not tried: a reward for each right column, or a base that has seen a few of them.",
    ),
    Claim(
        "Sharpening was tried on only two bases, both made for this.",
        "a sceptic",
        "not any more: of nine bases it helps the three with one wording and hurts the six with two or four, each in the direction "
        "of its exact optimum; from 50 to 65% direct answers, their share does not change the direction",
        other_bases.of_the_family,
        other_bases.one_wording_helps,
        (*(f"data/results/{other_bases.FAMILY}/{name}.csv" for name in ("family", "control")), "figures/family_foretold.png"),
        "A base whose likeliest completions are mostly right, and which sharpening hurts; or bases of one corpus that differ.",
    ),
    Claim(
        "A real pretrained model learns from a task reward what sharpening cannot give it.",
        "the paper",
        "not found on problems that were held out: there sharpening gains about as much, and greedy decoding of the untrained "
        "model is no less accurate; found on the problems that it was trained on. One small model, one simple task",
        other_bases.of_the_real_model,
        other_bases.held_out_is_sharpened_and_trained_is_learnt,
        (
            *(f"data/results/{other_bases.REAL}/{name}.csv" for name in ("differences", "steps", "audit")),
            *(f"figures/{other_bases.REAL}_{name}.png" for name in ("final_accuracy", "remembered", "audit")),
        ),
        "A larger model, more problems, the two sets exchanged, or a task that is not a list of facts to be remembered.",
    ),
    Claim(
        "A learning rate proves nothing without a control.",
        "the kit",
        "holds",
        evidence.of_control,
        lambda: set(evidence.table("control", "rates").query("allowed")["learning_rate"]) == {1e-4},
        ("data/results/rates/control.csv",),
        "Training without any signal that changes nothing at 3e-4, for instance with another optimiser.",
    ),
    Claim(
        "An audit can tell how much of what RL did was sharpening.",
        "the kit",
        "holds on constructed models whose answer is known; on trained runs it tells `sharpen` from `task` on `many_wordings`, but "
        "not on `one_wording`, where after longer training both have the same accuracy and distance from the base",
        evidence.of_audits,
        lambda: [evidence.tells_apart(model, LONGER) for model in BASES] == [False, True],
        (*(f"data/results/{one}/audit.csv" for one in (PROFILE, LONGER)), f"figures/{LONGER}_audit.png"),
        "A model that was sharpened by a known α, and an audit that does not find it.",
    ),
    Claim(
        "Samples of the base say in advance what sharpening will do.",
        "the kit",
        "holds for the direction; holds for the size only if runs arrive at their optimum",
        evidence.of_forecasts,
        evidence.forecasts_hold_where_runs_arrive,
        tuple(f"data/results/{one}/forecast_check_{model}.csv" for one in (PROFILE, LONGER) for model in BASES),
        "A forecast whose run goes the other way, or arrives outside the interval.",
    ),
)


def page() -> str:
    """Every claim with its verdict, its evidence and its files, as Markdown."""
    parts = []
    for one in CLAIMS:
        files = ", ".join(f"[{path.split('/', 1)[1]}](../{path})" for path in one.rests_on)
        parts.append(
            f"### {one.claim}\n\n*Claimed by {one.by}.* **Verdict: {one.verdict}.**\n\n{one.evidence()}\n\n"
            f"Rests on {files}. What would change it: {one.would_change}"
        )
    return "\n\n".join(parts)


def short() -> str:
    """The claims and their verdicts, as a Markdown table."""
    return markdown.table(["claim", "made by", "verdict"], [[one.claim, one.by, one.verdict] for one in CLAIMS])


def body() -> str:
    """What stands in `docs/claims.md`: the table, then each claim."""
    return f"{short()}\n\n{page()}"
