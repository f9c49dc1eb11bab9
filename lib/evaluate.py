"""Evaluation: samples and greedy answers of one model on a test split, and the numbers that are computed from them.

`measure` runs the model and keeps every raw sample; the functions above it are pure and say exactly what a number is.
Drawing is `lib.figures`.
"""

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lib import models, problems, runs, sample, tiny, verify
from lib.likelihood import sequence_scores
from lib.runs import UsageError


@dataclass(frozen=True)
class Plan:
    """What every model of a profile is evaluated on, and how. Lengths are in tokens."""

    data: str = "arithmetic"  # what `lib.problems.load_set` takes
    split: str = "test"
    revision: str | None = None  # of a hub data set
    problems: int = 200
    samples: int = 16  # a problem, at temperature 1
    max_prompt_tokens: int = 32
    max_completion_tokens: int = 64
    batch_size: int = 512  # completions sampled at a time
    token_budget: int = 1024  # padded tokens a likelihood pass
    seed: int = 0

    @property
    def stem(self) -> str:
        """The file name of its results, less the ending: `arithmetic-test`."""
        return runs.evaluation_stem(self.data, self.split)


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """The chance that at least one of k samples, drawn without replacement from `samples`, is correct.

    1 − C(n−c, k) / C(n, k), unbiased for the chance of k fresh samples (Chen et al. 2021, arXiv 2107.03374).
    Raises ValueError if k is not in 1..samples.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"k is {k}, but there are {samples} samples: choose k from 1 to {samples}.")
    return 1.0 - math.comb(samples - correct, k) / math.comb(samples, k)


def maj_at_k(answers: Sequence[str | None], gold: str, k: int) -> float:
    """The chance that the most frequent answer among k of the answers, drawn without replacement, is `gold`.

    Exact, by counting: for each number of votes j that `gold` may get, the ways in which every other answer gets at most j.
    Ties are shared evenly. None is no vote: it can be drawn, but it cannot win.
    """
    if not 1 <= k <= len(answers):
        raise ValueError(f"k is {k}, but there are {len(answers)} answers: choose k from 1 to {len(answers)}.")
    counts = Counter(answer for answer in answers if answer is not None)
    votes, silent = counts.pop(gold, 0), sum(answer is None for answer in answers)
    favourable = 0.0
    for j in range(1, min(votes, k) + 1):
        ways = {(n, 0): math.comb(silent, n) for n in range(min(silent, k - j) + 1)}  # (drawn, answers tied with gold)
        for count in counts.values():
            ways = _draw(ways, count, most=j, total=k - j)
        favourable += math.comb(votes, j) * sum(w / (1 + tied) for (n, tied), w in ways.items() if n == k - j)
    return favourable / math.comb(len(answers), k)


def _draw(ways: dict[tuple[int, int], int], count: int, most: int, total: int) -> dict[tuple[int, int], int]:
    """Extends the ways of drawing by up to `most` of one more answer that stands there `count` times."""
    extended: Counter[tuple[int, int]] = Counter()
    for (drawn, tied), number in ways.items():
        for more in range(min(count, most, total - drawn) + 1):
            extended[drawn + more, tied + (more == most)] += number * math.comb(count, more)
    return extended


def interval(values: Sequence[float], seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """The 95% percentile bootstrap interval of the mean over questions; `values` holds a number a question, [P]."""
    values = np.asarray(values, dtype=float)
    picks = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def powers_of_two(samples: int) -> list[int]:
    """1, 2, 4, … up to `samples`: the k of pass@k and maj@k."""
    return [2**i for i in range(samples.bit_length()) if 2**i <= samples]


def summarise(sampled, greedy) -> dict[str, float]:
    """The numbers of an evaluation, with 95% intervals over questions (`_low`, `_high`).

    `sampled` has n rows a problem, `greedy` one, with the columns `problem_id`, `gold`, `completion`, `answer`, `correct`,
    `length` (tokens), `truncated`, `bare`, `policy_logprob`, `reference_logprob` and `entropy` (nats).
    """
    by_problem = sampled.assign(kl=sampled["policy_logprob"] - sampled["reference_logprob"]).groupby(
        "problem_id", sort=False
    )
    samples, correct = int(by_problem.size().iloc[0]), by_problem["correct"].sum()
    numbers = {"problems": len(correct), "samples": samples}
    numbers |= _with_interval("accuracy_greedy", greedy["correct"])
    numbers |= _with_interval("accuracy_sampled", correct / samples)
    for k in powers_of_two(samples):
        numbers |= _with_interval(f"pass_at_{k}", [pass_at_k(samples, int(c), k) for c in correct])
        numbers |= _with_interval(f"maj_at_{k}", [_majority(group, k) for _, group in by_problem])
    for name, column in (("length_mean", "length"), ("bare_share", "bare"), ("kl", "kl"), ("truncated", "truncated")):
        numbers |= _with_interval(name, by_problem[column].mean())
    return numbers | {
        "bare_share_greedy": float(greedy["bare"].mean()),
        "distinct_answers": float(by_problem["answer"].nunique().mean()),
        "distinct_completions": float(by_problem["completion"].nunique().mean()),
        "entropy": float(np.average(sampled["entropy"], weights=sampled["length"])),
        "reference_logprob": float(sampled["reference_logprob"].mean()),
        "policy_logprob": float(sampled["policy_logprob"].mean()),
        "tokens": int(sampled["length"].sum() + greedy["length"].sum()),
    }


def _with_interval(name: str, values) -> dict[str, float]:
    """The mean of a number a question, and its 95% interval."""
    low, high = interval(values)
    return {name: float(np.mean(values)), f"{name}_low": low, f"{name}_high": high}


def _majority(group, k: int) -> float:
    """maj@k of one problem; every correct answer is the same vote, however it is written."""
    gold = group["gold"].iloc[0]
    votes = [gold if right else answer for answer, right in zip(group["answer"], group["correct"], strict=True)]
    return maj_at_k([None if vote is None or vote != vote else vote for vote in votes], gold, k)


def plan(profile: str) -> Plan:
    """The evaluation plan of a profile; raises UsageError for a setting that there is none of."""
    values = runs.load_profile(profile)["evaluate"]
    if unknown := sorted(set(values) - {f.name for f in dataclasses.fields(Plan)}):
        raise UsageError(
            f"Unknown evaluation settings {', '.join(unknown)}: see lib.evaluate.Plan for those there are."
        )
    return Plan(**values)


def evaluate(
    model_name: str,
    folder: Path,
    how: Plan,
    adapter: Path | None = None,
    about: dict | None = None,
    load_in_4bit: bool = True,
) -> dict:
    """Evaluates a base, or a base with a trained adapter; writes `evaluations/<data>-<split>.json`, with the raw samples
    beside it, and returns the numbers. `about` is copied into the result (regime, seed, checkpoint …).

    The model is loaded as for training, in 4 bits unless the run was trained otherwise. `tokens` and `seconds` in the result
    are what the evaluation took.
    """
    source = models.resolve(model_name)
    chosen = problems.load_set(how.data, how.split, how.problems, revision=how.revision)
    if adapter is not None and not (Path(adapter) / "adapter_config.json").is_file():
        raise UsageError(f"There is no adapter in {adapter}: train the run first.")
    started = time.perf_counter()
    model, tokenizer = models.load(source, how.max_prompt_tokens + how.max_completion_tokens, load_in_4bit)
    if adapter is not None:
        model = models.load_adapter(model, tokenizer, adapter)
    fits, too_long = models.fitting(tokenizer, chosen.problems, how.max_prompt_tokens)
    if not fits:
        raise UsageError(f"Every prompt has more than {how.max_prompt_tokens} tokens: raise max_prompt_tokens.")
    sampled, greedy = measure(model, tokenizer, how, adapter is not None, fits)
    numbers = summarise(sampled, greedy)
    stem = Path(folder) / "evaluations" / how.stem
    for name, table in (("sampled", sampled), ("greedy", greedy)):
        with runs.atomic(stem.with_name(f"{stem.name}-{name}.parquet")) as path:
            table.to_parquet(path, index=False)
    result = {"model": source.name, **(about or {}), "data_set": f"{how.data}/{how.split}", **numbers}
    result["seconds"] = round(time.perf_counter() - started, 1)
    left_out = {"too_long": too_long, "unreadable_golds": list(chosen.unreadable)}
    result["plan"] = dataclasses.asdict(how) | {"revision": chosen.revision, "left_out": left_out}
    result["plan"] |= {"verifier": verify.description(strict=False)}
    runs.write_json(stem.with_name("environment.json"), runs.environment())
    runs.write_json(stem.with_suffix(".json"), result)
    return result


def measure(model, tokenizer, how: Plan, has_adapter: bool, test_set: list[problems.Problem] | None = None):
    """(sampled, greedy): tables as `summarise` takes them, `samples` rows a problem and one; of `test_set`, or the plan's."""
    test_set = test_set or problems.load(how.data, how.split, how.problems, revision=how.revision)
    prompts = models.prompt_ids(tokenizer, [p.messages for p in test_set])
    sampler = sample.Sampler(max_tokens=how.max_completion_tokens, batch_size=how.batch_size, seed=how.seed)
    rows = list(zip(test_set, prompts, strict=True))
    options = {"has_adapter": has_adapter, "token_budget": how.token_budget}
    many = [row for row in rows for _ in range(how.samples)]
    sampled = table(model, tokenizer, many, sampler, progress="sampling", **options)
    greedy = table(model, tokenizer, rows, dataclasses.replace(sampler, temperature=0.0), progress="greedy", **options)
    return sampled, greedy


def table(
    model,
    tokenizer,
    rows: list[tuple[problems.Problem, list[int]]],
    sampler: sample.Sampler,
    progress: str | None = None,
    has_adapter: bool = False,
    token_budget: int = 1024,
    first_not: Sequence[int] = (),
) -> pd.DataFrame:
    """A completion for each row (problem, prompt ids), graded and scored: a pandas DataFrame with a row a completion.

    `first_not` bans token ids as a completion's first; without an adapter the policy is the reference.
    """
    prompts = [ids for _, ids in rows]
    completions = sample.sample(model, tokenizer, prompts, sampler, progress, first_not)
    verdicts = verify.check_all([c.text for c in completions], [p.gold for p, _ in rows], strict=False)
    batch = prompts, [c.ids for c in completions], tokenizer.pad_token_id
    policy = sequence_scores(model, *batch, token_budget=token_budget)
    reference = sequence_scores(model, *batch, reference=True, token_budget=token_budget) if has_adapter else policy
    return pd.DataFrame(
        {
            "problem_id": [p.id for p, _ in rows],
            "gold": [p.gold for p, _ in rows],
            "completion": [c.text for c in completions],
            "answer": [v.answer for v in verdicts],
            "status": [v.status for v in verdicts],
            "correct": [v.correct for v in verdicts],
            "length": [len(c.ids) for c in completions],
            "truncated": [c.truncated for c in completions],
            "bare": [tiny.is_bare(c.text) for c in completions],
            "policy_logprob": policy.logprob,
            "reference_logprob": reference.logprob,
            "entropy": policy.entropy,
        }
    )
