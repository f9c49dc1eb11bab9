"""The likeliest completions of a model, all of them down to a floor: no completion is likelier than any of its beginnings, so that
a search that follows every beginning above the floor misses none."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from lib.models.reader import Reader, on_cpu
from lib.models.scoring import scoring_mode
from lib.models.tokens import Model, Tokenizer, eos_token_ids
from lib.storage.errors import UsageError


class Likely(NamedTuple):
    """The completions of one prompt with p(y|x) ≥ exp(`floor`): `ids`, EOS included, and `logprob`, log p(y|x) in nats, likeliest
    first."""

    ids: list[list[int]]
    logprob: np.ndarray
    floor: float

    def log_partition(self, alpha: float) -> tuple[float, float]:
        """Bounds of log Σ_y p(y|x)^α, α > 1: the completions found, and these with all that is left of p at the floor."""
        found = np.logaddexp.reduce(alpha * self.logprob, initial=-np.inf)
        left = max(0.0, -np.expm1(np.logaddexp.reduce(self.logprob, initial=-np.inf)))
        return float(found), float(np.logaddexp(found, (alpha - 1) * self.floor + np.log(left) if left else -np.inf))


def likely(
    model: Model, tokenizer: Tokenizer, prompts: Sequence[Sequence[int]], floors: Sequence[float], max_tokens: int
) -> list[Likely]:
    """The completions of each of N prompts whose log p(y|x) is at least its floor, in nats. A completion that has not ended after
    `max_tokens` counts as one of these tokens, as it does in sampling. There are at most exp(−floor) beginnings at a time."""
    if not on_cpu(model):
        raise UsageError("The search of likely completions runs on a CPU alone: load a small model there.")
    ends = torch.tensor(sorted(eos_token_ids(model, tokenizer)))
    found = []
    with scoring_mode(model, reference=False):
        for prompt, floor in zip(tqdm(prompts, "searching", unit="prompt"), floors, strict=True):
            rows = _search(Reader(model, [prompt], tokenizer.pad_token_id), ends, floor, max_tokens)
            rows.sort(key=lambda row: -row[1])
            found.append(Likely([ids for ids, _ in rows], np.array([logprob for _, logprob in rows]), floor))
    return found


def _search(reader: Reader, ends: torch.Tensor, floor: float, max_tokens: int) -> list[tuple[list[int], float]]:
    """(ids, log p) of the completions of one prompt, in any order."""
    begun, so_far = torch.empty(1, 0, dtype=torch.long), torch.zeros(1, dtype=torch.float64)
    found: list[tuple[list[int], float]] = []
    for position in range(1, max_tokens + 1):
        ahead = so_far[:, None] + torch.log_softmax(reader.logits.float(), dim=-1).cpu().double()
        row, token = (ahead >= floor).nonzero(as_tuple=True)
        begun, so_far = torch.cat([begun[row], token[:, None]], dim=1), ahead[row, token]
        over = torch.isin(token, ends) | (position == max_tokens)
        found += zip(begun[over].tolist(), so_far[over].tolist(), strict=True)
        if over.all():
            break
        reader.keep(row[~over])
        reader.read(token[~over][:, None])
        begun, so_far = begun[~over], so_far[~over]
    return found
