"""From a model to a table of graded and scored samples, and from the table to the numbers of an evaluation.

What a number is, is `lib.statistics`; running and keeping an evaluation, also one that was killed, `lib.evaluations`.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib import models, problems, runs, sample, statistics, tiny, verify
from lib.likelihood import sequence_scores
from lib.runs import UsageError
from lib.statistics import powers_of_two


@dataclass(frozen=True)
class Plan:
    """What every model of a profile is evaluated on, and how. Lengths are in tokens."""

    data: str = "arithmetic"  # what `lib.problems.load_set` takes
    split: str = "test"
    revision: str | None = None  # of a hub data set; None means the newest, and what it was is recorded
    problems: int = 200
    samples: int = 16  # a problem
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    max_prompt_tokens: int = 32
    max_completion_tokens: int = 64
    batch_size: int = 512  # completions sampled at a time
    chunk: int = 64  # problems between two savings
    token_budget: int = 1024  # padded tokens a likelihood pass
    seed: int = 0
    validation_problems: int = 100  # for the best checkpoint, from the validation split
    validation_samples: int = 4
    vllm_memory: float = (
        0.5  # share of the GPU that vLLM may take where it samples, the weights that it shares included
    )

    @property
    def stem(self) -> str:
        """The file name of its results, less the ending: `arithmetic-test`."""
        return runs.evaluation_stem(self.data, self.split)

    @property
    def sampler(self) -> sample.Sampler:
        """How the samples are drawn; greedy answers differ in the temperature alone."""
        shared = ("temperature", "top_p", "top_k", "repetition_penalty", "batch_size", "seed")
        return sample.Sampler(max_tokens=self.max_completion_tokens, **{name: getattr(self, name) for name in shared})

    def validation(self) -> "Plan":
        """The plan by which checkpoints are told apart: fewer problems, of the validation split."""
        cheaper = {"problems": self.validation_problems, "samples": self.validation_samples}
        return dataclasses.replace(self, split="validation", **cheaper)


def plans(profile: str, model: str, data: str | None = None) -> list[Plan]:
    """The evaluation plans of a model in a profile, one a data set, the headline first; or the one of `data`.

    Raises UsageError for a setting that there is none of, and for data that the model is not evaluated on.
    """
    described = runs.load_profile(profile)
    values = runs.section(described, "evaluate", model)
    if unknown := sorted(set(values) - {f.name for f in dataclasses.fields(Plan)}):
        raise UsageError(
            f"Unknown evaluation settings {', '.join(unknown)}: see lib.evaluate.Plan for those there are."
        )
    found = [Plan(**values | {"data": name, "split": split}) for name, split in runs.evaluated_on(described, model)]
    if data is not None and not (found := [how for how in found if how.data == data]):
        sets = ", ".join(name for name, _ in runs.evaluated_on(described, model))
        raise UsageError(f"{profile} does not evaluate {model} on {data!r}: choose one of {sets}.")
    return found


def load_problems(how: Plan) -> problems.ProblemSet:
    """The problems of a plan, and where they are from: the one place that loads them."""
    return problems.load_set(how.data, how.split, how.problems, revision=how.revision)


def grade(texts: Sequence[str], golds: Sequence[str]) -> list[verify.Verdict]:
    """A verdict for each completion, leniently where there is a choice: the one place that grades."""
    return verify.check_all(texts, golds, strict=False)


def measure(
    model, tokenizer, how: Plan, test_set, has_adapter: bool, engine=None, progress=None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(sampled, greedy) of problems: tables as `summarise` takes them, `samples` rows a problem and one."""
    prompts = models.prompt_ids(tokenizer, [p.messages for p in test_set])
    rows = list(zip(test_set, prompts, strict=True))
    options = {"has_adapter": has_adapter, "token_budget": how.token_budget, "engine": engine, "progress": progress}
    many = [row for row in rows for _ in range(how.samples)]
    sampled = table(model, tokenizer, many, how.sampler, **options)
    greedy = table(model, tokenizer, rows, dataclasses.replace(how.sampler, temperature=0.0), **options)
    return sampled, greedy


def table(
    model,
    tokenizer,
    rows: list[tuple[problems.Problem, list[int]]],
    sampler: sample.Sampler,
    progress: str | sample.Progress | None = None,
    has_adapter: bool = False,
    token_budget: int = 1024,
    first_not: Sequence[int] = (),
    engine: sample.VllmEngine | None = None,
) -> pd.DataFrame:
    """A completion for each row (problem, prompt ids), graded and scored: a pandas DataFrame with a row a completion.

    `first_not` bans token ids as a completion's first; without an adapter the policy is the reference. `vote` is
    from `votes`; `policy_logprob` and `reference_logprob` are S_π and S_p (nats), `sampling_logprob` is S_π while sampling.
    """
    prompts = [ids for _, ids in rows]
    completions = sample.sample(engine or model, tokenizer, prompts, sampler, progress, first_not)
    verdicts = grade([c.text for c in completions], [p.gold for p, _ in rows])
    batch = prompts, [c.ids for c in completions], tokenizer.pad_token_id
    policy = sequence_scores(model, *batch, token_budget=token_budget)
    reference = sequence_scores(model, *batch, reference=True, token_budget=token_budget) if has_adapter else policy
    return pd.DataFrame(
        {
            "problem_id": [p.id for p, _ in rows],
            "gold": [p.gold for p, _ in rows],
            "completion": [c.text for c in completions],
            "answer": [v.answer for v in verdicts],
            "vote": votes([p for p, _ in rows], verdicts),
            "status": [v.status for v in verdicts],
            "correct": [v.correct for v in verdicts],
            "length": [len(c.ids) for c in completions],
            "truncated": [c.truncated for c in completions],
            "bare": [tiny.is_bare(c.text) for c in completions],
            "policy_logprob": policy.logprob,
            "reference_logprob": reference.logprob,
            "sampling_logprob": [c.logprob for c in completions],
            "entropy": policy.entropy,
        }
    )


def votes(asked: Sequence[problems.Problem], verdicts: Sequence[verify.Verdict]) -> list[str | None]:
    """The vote of each verdict, one on each problem asked: equivalent answers to one problem vote for the same string.

    Two wrong answers are equivalent if either, as the gold, makes the other right.
    """
    groups: dict[str, list[int]] = {}
    for index, problem in enumerate(asked):
        groups.setdefault(problem.id, []).append(index)
    wrong = [
        dict.fromkeys(verdicts[i].answer.strip() for i in group if not verdicts[i].correct and verdicts[i].answer)
        for group in groups.values()
    ]
    pairs = list(dict.fromkeys(pair for texts in wrong for pair in itertools.permutations(texts, 2)))
    same = grade([f"\\boxed{{{answer}}}" for answer, _ in pairs], [gold for _, gold in pairs])
    equal = {frozenset(pair) for pair, verdict in zip(pairs, same, strict=True) if verdict.correct}
    found: list[str | None] = [None] * len(verdicts)
    for group in groups.values():
        answers, correct = [verdicts[i].answer for i in group], [verdicts[i].correct for i in group]
        clustered = statistics.cluster(answers, correct, asked[group[0]].gold, lambda a, b: frozenset((a, b)) in equal)
        for i, vote in zip(group, clustered, strict=True):
            found[i] = vote
    return found


def summarise(sampled: pd.DataFrame, greedy: pd.DataFrame) -> dict[str, float]:
    """The numbers of an evaluation, with 95% intervals over questions (`_low`, `_high`).

    `sampled` has n rows a problem, `greedy` one, with the columns `problem_id`, `gold`, `completion`, `vote`, `correct`,
    `length` (tokens), `truncated`, `bare`, `policy_logprob`, `reference_logprob` and `entropy` (nats). `detectable_effect` is the
    difference in sampled accuracy that a second, uncorrelated run must have to be found (`statistics.planned_effect`).
    """
    by_problem = sampled.assign(kl=sampled["policy_logprob"] - sampled["reference_logprob"]).groupby(
        "problem_id", sort=False
    )
    samples, correct = int(by_problem.size().iloc[0]), by_problem["correct"].sum()
    numbers = {"problems": len(correct), "samples": samples}
    numbers |= _with_interval("accuracy_greedy", greedy["correct"], rate=True)
    numbers |= _with_interval("accuracy_sampled", correct / samples, rate=True)
    numbers |= {"detectable_effect": statistics.planned_effect(correct / samples)}
    passed = np.array([statistics.pass_curve(samples, int(c)) for c in correct])
    won = np.array([statistics.maj_curve(count(group)) for _, group in by_problem])
    for k in powers_of_two(samples):
        numbers |= _with_interval(f"pass_at_{k}", passed[:, k - 1], rate=True)
        numbers |= _with_interval(f"maj_at_{k}", won[:, k - 1], rate=True)
    for name, column in (("length_mean", "length"), ("bare_share", "bare"), ("kl", "kl"), ("truncated", "truncated")):
        numbers |= _with_interval(name, by_problem[column].mean(), rate=name in ("bare_share", "truncated"))
    return numbers | {
        "bare_share_greedy": float(greedy["bare"].mean()),
        "distinct_answers": float(by_problem["vote"].nunique().mean()),
        "distinct_completions": float(by_problem["completion"].nunique().mean()),
        "entropy": float(np.average(sampled["entropy"], weights=sampled["length"])),
        "reference_logprob": float(sampled["reference_logprob"].mean()),
        "policy_logprob": float(sampled["policy_logprob"].mean()),
        "tokens": int(sampled["length"].sum() + greedy["length"].sum()),
    }


def _with_interval(name: str, values, rate: bool) -> dict[str, float]:
    """The mean of a number a question, and its 95% interval."""
    low, high = statistics.interval(values, rate=rate)
    return {name: float(np.mean(values)), f"{name}_low": low, f"{name}_high": high}


def count(group: pd.DataFrame) -> statistics.Votes:
    """The votes of one problem."""
    return statistics.count_votes([v if isinstance(v, str) else None for v in group["vote"]], group["gold"].iloc[0])
