"""TRL's trainer on a CPU, with the passes that take the time done by the kit: a prompt is read once for its whole group, and
log π of a step is computed once, for the reward to read and for the loss to differentiate. The loss itself is TRL's.

Import this after Unsloth, as `lib.training.trainer`."""

from typing import Any, cast

import numpy as np
import torch
import trl

from lib.models import sampling
from lib.training.reward import RewardFunction


class CpuTrainer(trl.GRPOTrainer):
    """GRPO with the kit's sampler and the kit's log-probabilities; `reward_funcs` is the kit's reward alone."""

    @property
    def reward(self) -> RewardFunction:
        """The one reward function."""
        return cast(RewardFunction, self.reward_funcs[0])

    def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any) -> tuple[list[list[int]], None]:
        """Completions whose draws depend on the run's seed, the step, the prompt and its count alone."""
        config = self.reward.config
        seed = int(np.random.SeedSequence([config.seed, self.state.global_step]).generate_state(1, np.uint64)[0])
        how = sampling.Sampler(
            config.temperature, max_tokens=config.max_completion_tokens, batch_size=config.generated_at_once, seed=seed
        )
        found = sampling.sample(self.model, self.processing_class, prompt_ids, how, ends=set(self.eos_token_ids))
        return [completion.ids for completion in found], None  # no log-probabilities: what was sampled from is what is trained

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, logits_to_keep: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        """(log π, entropy), [B, logits_to_keep] each, of B left-padded prompts with right-padded completions, and no auxiliary
        loss. Those that the reward has computed are taken from there."""
        there = attention_mask.bool()
        sides = slice(None, -logits_to_keep), slice(-logits_to_keep, None)
        prompts, completions = ([ids[m].tolist() for ids, m in zip(input_ids[:, s], there[:, s], strict=True)] for s in sides)
        scores = self.reward.policy_of(prompts, completions)
        width = logits_to_keep - scores.logprob.shape[1]
        logprob, entropy = (torch.nn.functional.pad(values.float(), (0, width)) for values in scores[:2])
        return logprob, entropy, None
