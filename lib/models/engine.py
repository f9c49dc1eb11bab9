"""A language model as an engine for `lib.theory.samplers`: it continues rows of tokens, one token at a time, with a
key-value cache. Plain forward passes of its own, so that p and the proposal come from the same logits."""

from collections.abc import Sequence

import numpy as np
import torch

from lib.models.scoring import scoring_mode
from lib.models.tokens import Model, Tokenizer, eos_token_ids, padded
from lib.theory.samplers import Rows, append, blank, truncate


class ModelEngine:
    """See `samplers.Engine`: row i continues `prompts[i]`, a list of token ids; the model sees at most `batch` rows at a time."""

    def __init__(self, model: Model, tokenizer: Tokenizer, prompts: Sequence[Sequence[int]], batch: int = 512):
        self.model, self.prompts, self.batch = model, prompts, batch
        self.pad, self.ends = tokenizer.pad_token_id, np.array(sorted(eos_token_ids(model, tokenizer)))

    def empty(self, max_length: int) -> Rows:
        return blank(len(self.prompts), max_length)

    def extend(self, rows: Rows, keep: np.ndarray, limit: int, alpha: float, rng: np.random.Generator) -> Rows:
        rows = truncate(rows, keep)
        open_rows = np.flatnonzero(~rows.ended & (rows.length < limit))
        size = [len(self.prompts[i]) + int(rows.length[i]) for i in open_rows.tolist()]
        open_rows = open_rows[np.argsort(size, kind="stable")]  # rows of like length side by side: little padding
        with scoring_mode(self.model, reference=False):
            for start in range(0, len(open_rows), self.batch):
                self._continue(rows, open_rows[start : start + self.batch], limit, alpha, rng)
        return rows

    def _continue(self, rows: Rows, batch: np.ndarray, limit: int, alpha: float, rng: np.random.Generator) -> None:
        """Continues the rows `batch`, in place, until the last of them has ended or has `limit` tokens."""
        texts = [[*self.prompts[i], *rows.tokens[i, : rows.length[i]].tolist()] for i in batch.tolist()]
        ids, mask = padded(texts, self.pad, "left")
        place, cache, here = (mask.cumsum(1) - 1).clamp(min=0), None, np.arange(len(batch))
        device = next(self.model.parameters()).device
        while len(here):
            step = self.model(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                position_ids=place.to(device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,  # those of a whole prompt would not fit
            )
            log_p = torch.log_softmax(step.logits[here, -1].float(), dim=-1).cpu().double().numpy()
            token = append(rows, batch[here], log_p, alpha, rng)
            rows.ended[batch[here]] = np.isin(token, self.ends)
            cache, ids = step.past_key_values, torch.full((len(batch), 1), self.pad)
            ids[here, 0] = torch.from_numpy(token)
            mask, place = torch.cat([mask, torch.ones_like(ids)], dim=1), place[:, -1:] + 1
            here = here[~rows.ended[batch[here]] & (rows.length[batch[here]] < limit)]
