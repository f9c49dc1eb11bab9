"""From a model to a table of graded and scored samples: the one place that grades for evaluation.

What is made of the table is `lib.evaluation.metrics`; running and keeping an evaluation is `lib.evaluation.runner`."""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from lib.data.prompts import Problem
from lib.evaluation import statistics
from lib.evaluation.config import EvalConfig
from lib.evaluation.metrics import Graded
from lib.models.sampling import Progress, Sampler, VllmEngine, sample
from lib.models.scoring import sequence_scores
from lib.models.tokens import Model, Tokenizer, prompt_ids
from lib.rewards import verifier

grade = functools.partial(verifier.check_all, strict=False)  # a verdict for each text and its gold: lenient where there is a choice


class Loaded(NamedTuple):
    """A model in memory, and how it is run: with vLLM's `engine` if there is one, at most `token_budget` padded tokens per scoring
    pass, moving the bar `progress`. Without an adapter the policy is the reference."""

    model: Model
    tokenizer: Tokenizer
    has_adapter: bool = False
    engine: VllmEngine | None = None
    progress: Progress | None = None
    token_budget: int = 1024


def measure(loaded: Loaded, config: EvalConfig, problems: Sequence[Problem]) -> Graded:
    """The graded samples of problems, `config.samples` each, and their greedy answers."""
    loaded, greedy = loaded._replace(token_budget=config.token_budget), dataclasses.replace(config.sampler, temperature=0.0)
    return Graded(table(loaded, problems, config.sampler, config.samples), table(loaded, problems, greedy))


def table(
    loaded: Loaded, problems: Sequence[Problem], sampler: Sampler, samples: int = 1, first_not: Sequence[int] = ()
) -> pd.DataFrame:
    """Graded and scored completions, a row each, those of one problem side by side. `first_not` bans token ids as their first.
    `policy_logprob` and `reference_logprob` are S_π and S_p in nats, `sampling_logprob` is S_π while sampling, `ids` are the token
    ids of the completion, for another model to score."""
    model, tokenizer, has_adapter, engine, progress, token_budget = loaded
    asked = [problem for problem in problems for _ in range(samples)]
    prompts = prompt_ids(tokenizer, [problem.messages for problem in problems])
    prompts = [ids for ids in prompts for _ in range(samples)]
    completions = sample(engine or model, tokenizer, prompts, sampler, progress, first_not)
    texts = [c.text for c in completions]
    batch = prompts, [c.ids for c in completions], tokenizer.pad_token_id
    policy = sequence_scores(model, *batch, token_budget=token_budget)
    reference = sequence_scores(model, *batch, reference=True, token_budget=token_budget) if has_adapter else policy
    return pd.DataFrame(
        {
            "problem_id": [p.id for p in asked],
            "gold": [p.gold for p in asked],
            "completion": texts,
            **_graded(asked, texts),
            "length": [len(c.ids) for c in completions],
            "truncated": [c.truncated for c in completions],
            "direct": list(map(verifier.is_direct, texts)),
            "policy_logprob": policy.logprob,
            "reference_logprob": reference.logprob,
            "sampling_logprob": [c.logprob for c in completions],
            "entropy": policy.entropy,
            "ids": [c.ids for c in completions],
        }
    )


def _graded(asked: Sequence[Problem], texts: Sequence[str]) -> dict[str, list]:
    """What the verifier says of each completion, as columns."""
    verdicts = grade(texts, [p.gold for p in asked])
    columns: dict[str, list] = {"answer": [v.answer for v in verdicts], "vote": votes(asked, verdicts)}
    return columns | {"status": [v.status for v in verdicts], "correct": [v.correct for v in verdicts]}


def regraded(table: pd.DataFrame, problems: Sequence[Problem]) -> pd.DataFrame:
    """A table of samples of these problems, graded anew by the verifier of today."""
    known = {problem.id: problem for problem in problems}
    return table.assign(**_graded([known[name] for name in table["problem_id"]], table["completion"].tolist()))


def votes(asked: Sequence[Problem], verdicts: Sequence[verifier.Verdict]) -> list[str | None]:
    """The vote of each verdict, one on each problem asked: equivalent answers to one problem vote for the same string. Two wrong
    answers are equivalent if either, as the gold, makes the other right. A problem's verdicts stand side by side."""
    groups = [list(rows) for _, rows in itertools.groupby(zip(asked, verdicts, strict=True), key=lambda row: row[0].id)]
    wrong = [dict.fromkeys(v.answer.strip() for _, v in rows if not v.correct and v.answer) for rows in groups]
    pairs = list(dict.fromkeys(pair for texts in wrong for pair in itertools.permutations(texts, 2)))
    same = grade([f"\\boxed{{{answer}}}" for answer, _ in pairs], [gold for _, gold in pairs])
    equal = {frozenset(pair) for pair, verdict in zip(pairs, same, strict=True) if verdict.correct}
    found: list[str | None] = []
    for rows in groups:
        answers, correct = [v.answer for _, v in rows], [v.correct for _, v in rows]
        found += statistics.cluster(answers, correct, rows[0][0].gold, lambda a, b: frozenset((a, b)) in equal)
    return found
