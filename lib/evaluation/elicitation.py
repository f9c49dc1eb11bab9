"""A base that is made to show its work: what it can do already, if only its first token is not the box.

That is the base conditioned on a worked solution, p(y | x, worked). It lies KL = −log P(worked | x) from the base, and nothing is
learnt. What training adds beyond it is not explained by showing work alone."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.data.prompts import Problem
from lib.evaluation import grading
from lib.evaluation.config import EvalConfig
from lib.models import scoring, tokens
from lib.models.tokens import Model, Tokenizer
from lib.storage.errors import UsageError

BOX = "\\boxed{"


class Worked(NamedTuple):
    """`sampled` and `greedy`, graded completions of a base made to show its work, as in an evaluation; `kl` [P], how far that is
    from the base per question, in nats per completion."""

    sampled: pd.DataFrame
    greedy: pd.DataFrame
    kl: np.ndarray


def made_to_work(model: Model, tokenizer: Tokenizer, problems: Sequence[Problem], config: EvalConfig) -> Worked:
    """Samples of a base whose box is one token, as an evaluation draws them, but never with the box first. Raises UsageError where
    the box is several tokens, of which the first also begins other words."""
    first = tokenizer(BOX, add_special_tokens=False)["input_ids"]
    if len(first) != 1:
        raise UsageError(f"This tokenizer writes {BOX} as {len(first)} tokens, so that the box alone cannot be forbidden.")
    (box,) = first
    loaded = grading.Loaded(model, tokenizer, token_budget=config.token_budget)
    sampled = grading.table(loaded, problems, config.sampler, config.samples, first_not=[box])
    greedy = grading.table(loaded, problems, dataclasses.replace(config.sampler, temperature=0.0), first_not=[box])
    prompts = tokens.prompt_ids(tokenizer, [problem.messages for problem in problems])
    direct = scoring.sequence_scores(model, prompts, [[box]] * len(prompts), tokenizer.pad_token_id).logprob
    return Worked(sampled, greedy, -np.log1p(-np.exp(direct)))
