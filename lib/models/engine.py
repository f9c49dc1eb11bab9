"""A language model as an engine for `lib.theory.samplers`: it continues rows of tokens, one token at a time, with a
key-value cache. Plain forward passes of its own, so that p and the proposal come from the same logits."""

from collections.abc import Sequence

import numpy as np
import torch

from lib.models.reader import Reader
from lib.models.scoring import scoring_mode
from lib.models.tokens import Model, Tokenizer, eos_token_ids
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
        reader = Reader(self.model, texts, self.pad)
        while True:
            log_p = torch.log_softmax(reader.logits.float(), dim=-1).cpu().double().numpy()
            token = append(rows, batch, log_p, alpha, rng)
            rows.ended[batch] = np.isin(token, self.ends)
            going = ~rows.ended[batch] & (rows.length[batch] < limit)
            if not going.any():
                return
            batch = batch[going]
            reader.keep(torch.from_numpy(going))
            reader.read(torch.from_numpy(token[going])[:, None])
