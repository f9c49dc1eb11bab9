"""How far apart two policies are that were trained from one base: two seeds of the same run, for instance.

The theory (`lib.theory.dynamics`, notebook 02) says what becomes of the distance of two neighbours in rounds of sharpening, each
with the last policy as its reference: their log-odds differ α times as much after each round, and α^t times after t rounds."""

import numpy as np
import pandas as pd

from lib.evaluation import statistics
from lib.evaluation.statistics import Interval


def kl(judged: pd.DataFrame) -> Interval:
    """KL(π_a‖π_b) in nats per completion, the mean over questions with its 95% interval: from samples of π_a, a row each with its
    `problem_id`, `policy_logprob` log π_a and `judge_logprob` log π_b. Unbiased; an estimate may be below 0."""
    ratio = judged["policy_logprob"] - judged["judge_logprob"]
    return statistics.estimate(ratio.groupby(judged["problem_id"], sort=False).mean())


def log_odds_spread(a: pd.DataFrame, b: pd.DataFrame) -> float:
    """How much two policies differ in the log-odds of a typical pair of a base's samples to a typical question, in nats: the median
    over questions of the root mean square over pairs of completions. Both tables have the same rows, each with its `problem_id` and
    `trained_logprob`. Raises ValueError if they do not. Normalisation, and whatever else all completions of a question share,
    cancels; a mean over questions could hang on a single one."""
    if not a["problem_id"].tolist() == b["problem_id"].tolist():
        raise ValueError("The two tables have samples of different questions: give what two policies say of the same samples.")
    ratio = pd.Series(a["trained_logprob"].to_numpy() - b["trained_logprob"].to_numpy())
    variance = ratio.groupby(a["problem_id"].to_numpy(), sort=False).var(ddof=1)
    return float(np.sqrt(2 * variance.median()))
