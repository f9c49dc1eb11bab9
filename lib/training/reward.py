"""The reward that TRL calls: R of each completion of a step, and what is kept of the step."""

from collections.abc import Mapping
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from lib.models import scoring, tokens
from lib.models.reader import on_cpu
from lib.rewards import objectives, verifier
from lib.rewards.objectives import RewardInputs
from lib.storage.errors import UsageError
from lib.training.config import TrainConfig
from lib.training.record import Record

KEPT = ("reference_logprob", "policy_logprob", "length")  # inputs that are in every table and line, besides an objective's own


class Batch(NamedTuple):
    """The N completions of a step, as they were graded."""

    step: int
    prompts: list[Any]
    ids: list[list[int]]
    texts: list[str]
    golds: list[str]
    verdicts: list[verifier.Verdict]


class RewardFunction:
    """A TRL reward function: R of each completion of a step."""

    __name__ = "reward_function"

    def __init__(self, config: TrainConfig, record: Record, model: tokens.Model, tokenizer: tokens.Tokenizer):
        self.config, self.record, self.model, self.tokenizer = config, record, model, tokenizer
        self.objective = config.resolved_objective()
        self.end_ids = tokens.eos_token_ids(model, tokenizer)
        self.last_row: dict[str, float] = {}  # the step's means
        self.phase = "generation"  # then `likelihood`, then `loss`: what the step is at
        self.kept: tuple[dict[tuple[int, ...], int], scoring.TokenScores] | None = None  # log π of a step, for its loss

    def __call__(
        self, prompts: list[Any], completions: list[Any], completion_ids: list[list[int]], **given: Any
    ) -> list[float | None]:
        """R of each completion, [N], as TRL calls it; `given` has the columns of the data set and the trainer's state."""
        self.phase = "likelihood"
        texts, golds = [completion[0]["content"] for completion in completions], given["gold"]
        if self.config.fixed_length:  # what would have been said without the length control is what is graded
            said = [list(takewhile(lambda token: token not in self.end_ids, ids)) for ids in completion_ids]
            texts = self.tokenizer.batch_decode(said, skip_special_tokens=True)
        verdicts = verifier.check_all(texts, golds, strict=True)
        batch = Batch(given["trainer_state"].global_step, prompts, completion_ids, texts, golds, verdicts)
        inputs, entropy = self._inputs(batch)
        rewards = self.objective.reward(inputs)
        refuse_not_finite(batch, {"R": rewards, "log π": inputs.policy_logprob, "log p": inputs.reference_logprob})
        self.last_row = self._row(batch, inputs, entropy, rewards)
        kept: dict[str, Any] = {"problem_id": given["problem_id"], "completion": texts, "answer": [v.answer for v in verdicts]}
        kept |= {"status": [v.status for v in verdicts], "reward": rewards}
        kept |= {name: inputs.get(name) for name in (*KEPT, *inputs.extra)}
        self.record.keep_completions(batch.step, pd.DataFrame(kept))
        self.phase = "loss"
        return rewards.tolist()

    def _inputs(self, batch: Batch) -> tuple[RewardInputs, np.ndarray]:
        """What the reward sees of a batch, and the policy's mean token entropy on each completion, [N]."""
        prompts = tokens.prompt_ids(self.tokenizer, batch.prompts)
        reference = self._score(prompts, batch.ids, reference=True).sums()
        differentiated = on_cpu(self.model) and self.config.micro_batch == self.config.completions_per_step
        self.phase = "loss" if differentiated else "likelihood"
        scores = self._score(prompts, batch.ids, gradient=differentiated)
        if differentiated:
            self.kept = {(*p, *ids): i for i, (p, ids) in enumerate(zip(prompts, batch.ids, strict=True))}, scores
        policy = scores.sums()
        inputs = RewardInputs(
            task_reward=np.array([float(v.correct) for v in batch.verdicts]),
            reference_logprob=reference.logprob,
            policy_logprob=policy.logprob,
            length=np.array([len(ids) for ids in batch.ids]),
            format_reward=np.array(verifier.have_one_boxed_answer(batch.texts), dtype=float),
            random=objectives.random_reward(self.config.seed, batch.step, len(batch.ids)),
            extra={name: of(batch.texts, batch.golds) for name, of in self.objective.definition.signals.items()},
        )
        return inputs, policy.entropy

    def _score(
        self, prompts: list[list[int]], ids: list[list[int]], reference: bool = False, gradient: bool = False
    ) -> scoring.TokenScores:
        how = reference, self.config.temperature, self.config.token_budget, gradient
        return scoring.token_scores(self.model, prompts, ids, self.tokenizer.pad_token_id, *how)

    def policy_of(self, prompts: list[list[int]], ids: list[list[int]]) -> scoring.TokenScores:
        """log π of completions of the step, with gradients: what the reward has read where one pass holds the whole step."""
        if self.kept is None:
            return self._score(prompts, ids, gradient=True)
        (places, scores), self.kept = self.kept, None
        rows = torch.tensor([places[(*prompt, *one)] for prompt, one in zip(prompts, ids, strict=True)])
        return scoring.TokenScores(*(values[rows] for values in scores))

    def _row(self, batch: Batch, inputs: RewardInputs, entropy: np.ndarray, rewards: np.ndarray) -> dict[str, float]:
        """The means of a step; log-probabilities and KL in nats per completion, entropy in nats per token, lengths in tokens."""
        groups = rewards.reshape(-1, self.config.completions_per_prompt)
        per_completion = {
            "task_accuracy": inputs.task_reward,
            "reward": rewards,
            "kl": inputs.policy_logprob - inputs.reference_logprob,
            "truncated": [self.end_ids.isdisjoint(ids) for ids in batch.ids],
            "direct_share": [verifier.is_direct(text) for text in batch.texts],
            "format": inputs.format_reward,
            **{name: inputs.get(name) for name in (*KEPT, *inputs.extra)},
        }
        return {
            "step": batch.step,
            **{name: float(np.mean(values)) for name, values in per_completion.items()},
            "reward_std": rewards.std(),
            "zero_variance": float(np.mean(np.ptp(groups, axis=1) == 0)),
            "entropy": float(np.average(entropy, weights=inputs.length)),
            "tokens": int(inputs.length.sum()),
            **{f"verdict_{status}": sum(v.status == status for v in batch.verdicts) for status in verifier.STATUSES},
        }


def refuse_not_finite(batch: Batch, found: Mapping[str, np.ndarray]) -> None:
    """Raises UsageError, with the completion, if one of a step's numbers is not finite: TRL would leave that completion out, while
    G/(G − 1) still counts it."""
    for name, values in found.items():
        for i in np.flatnonzero(~np.isfinite(values))[:1]:
            what = f"In step {batch.step} {name} is {values[i]} for the completion {batch.texts[i]!r}"
            raise UsageError(f"{what}: look at the reward's terms, or lower learning_rate.")
