"""The pieces that `lib.train` plugs into TRL: its resolved configuration, the reward, and what is written each step.

Import this after Unsloth (`lib.models.import_unsloth`), which on a GPU replaces TRL's classes.
"""

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trl
from tqdm import tqdm
from transformers import TrainerCallback

from lib import models, regimes, runs, tiny, verify
from lib.likelihood import sequence_scores
from lib.regimes import Signals
from lib.runs import UsageError

PATIENCE = 10  # steps without any signal after which a run gives up
COMPLETE = "complete"  # the file that says that a checkpoint was written to its end

FIXED = {
    # RLOO
    "loss_type": "dapo",  # a mean over the tokens of the whole step
    "scale_rewards": "none",
    "beta": 0.0,  # the KL is in the reward
    "num_iterations": 1,
    "epsilon": 0.2,
    "epsilon_high": 0.2,
    "mask_truncated_completions": False,
    "importance_sampling_level": "token",
    # Sampling from the policy itself
    "top_p": 1.0,
    "top_k": 0,
    "min_p": None,
    "repetition_penalty": 1.0,
    # Where vLLM samples: truncated importance sampling, a weight min(π/π_vLLM, C) a token, with TRL's own C
    "vllm_mode": "colocate",
    "vllm_importance_sampling_correction": True,
    "vllm_importance_sampling_mode": "token_truncate",
    "vllm_importance_sampling_clip_max": 3.0,
    "vllm_importance_sampling_clip_min": None,
    "shuffle_dataset": True,
    # Optimiser
    "optim": "adamw_torch_fused",
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "fp16": False,
    # Bookkeeping
    "logging_strategy": "steps",
    "logging_steps": 1,
    "save_strategy": "steps",
    "report_to": "none",
    "disable_tqdm": True,
    "log_completions": False,
    "push_to_hub": False,
}


def grpo_config(chosen, output_dir: Path):
    """TRL's configuration with every field set: ours, or the default of TRL's own class, whatever Unsloth made of it."""
    original = next(c for c in trl.GRPOConfig.__mro__ if c.__module__ == "trl.trainer.grpo_config")
    values: dict[str, Any] = {
        f.name: f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
        for f in dataclasses.fields(original)
        if f.init and not (f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING)
    }
    return trl.GRPOConfig(**values | _fields(chosen, output_dir))


def _fields(chosen, output_dir: Path) -> dict[str, object]:
    """The fields that the kit sets itself."""
    group, gpu = chosen.completions_per_prompt, torch.cuda.is_available()
    accumulation = chosen.prompts_per_step * group // chosen.micro_batch
    return FIXED | {
        "reward_weights": [group / (group - 1)],  # turns the group mean into the leave-one-out baseline
        "num_generations": group,
        "gradient_accumulation_steps": accumulation,
        "steps_per_generation": accumulation,  # one generation an update: the ratio is 1 and clipping is inert
        "max_completion_length": chosen.max_completion_tokens,
        "temperature": chosen.temperature,
        "use_vllm": chosen.samples_with_vllm(),
        "generation_kwargs": {"ignore_eos": True} if chosen.fixed_length and chosen.samples_with_vllm() else None,
        "max_steps": chosen.steps,
        "per_device_train_batch_size": chosen.micro_batch,
        "learning_rate": chosen.learning_rate,
        "lr_scheduler_type": chosen.lr_schedule,
        "warmup_steps": chosen.warmup_steps,
        "weight_decay": chosen.weight_decay,
        "max_grad_norm": chosen.max_grad_norm,
        "seed": chosen.seed,
        "data_seed": chosen.seed,
        "output_dir": str(output_dir),
        "save_steps": chosen.save_every,
        "save_total_limit": chosen.keep_checkpoints,
        "bf16": gpu,
        "use_cpu": not gpu,
        "gradient_checkpointing": gpu,
        "dataloader_pin_memory": gpu,
    }


def go_on_after_eos(trainer) -> None:
    """Lets every completion go on to its full length, past EOS; vLLM is told by its `generation_kwargs`."""
    trainer.eos_token_ids = []  # where completions are cut
    if not trainer.use_vllm:
        never = trainer.model.config.vocab_size  # no token; None would be filled in from the model's own configuration
        trainer.generation_kwargs["eos_token_id"] = trainer.generation_config.eos_token_id = never


def generate_in_parts(trainer, size: int) -> None:
    """Lets a step's completions be generated at most `size` at a time, since all their keys and values may not fit."""
    whole = trainer._generate_single_turn

    def in_parts(prompt_ids, *rest):
        parts = (prompt_ids[start : start + size] for start in range(0, len(prompt_ids), size))
        return [ids for part in parts for ids in whole(part, *rest)[0]], None  # no log-probabilities without vLLM

    trainer._generate_single_turn = in_parts


class RegimeReward:
    """A TRL reward function: R of each completion of a step; `last_row` has the means of what went into it."""

    __name__ = "regime_reward"

    def __init__(self, chosen, run: Path, model, tokenizer):
        self.chosen, self.run, self.model, self.tokenizer = chosen, run, model, tokenizer
        self.regime = chosen.resolved_regime()
        self.end_ids = models.eos_token_ids(model, tokenizer)
        self.last_row: dict[str, float] = {}

    def __call__(
        self, prompts, completions, completion_ids, gold, problem_id, trainer_state, **_unused
    ) -> list[float | None]:
        """R of each completion, [N]. The signature is TRL's, which adds keywords of its own."""
        step = trainer_state.global_step
        texts = [completion[0]["content"] for completion in completions]
        if self.chosen.fixed_length:
            texts = [self.tokenizer.decode(self._answer(ids), skip_special_tokens=True) for ids in completion_ids]
        verdicts = verify.check_all(texts, gold, strict=True)
        signals, entropy = self._signals(step, prompts, texts, completion_ids, verdicts)
        rewards = self.regime.reward(signals)
        truncated = np.array([self.end_ids.isdisjoint(ids) for ids in completion_ids])
        self.last_row = {"step": step} | self._row(signals, rewards, entropy, truncated, texts, verdicts)
        self._write_completions(step, problem_id, texts, verdicts, signals, rewards)
        return rewards.tolist()

    def _answer(self, ids: list[int]) -> list[int]:
        """A completion up to its first EOS: what would have been said without the length control is what is graded."""
        end = next((i for i, token in enumerate(ids) if token in self.end_ids), len(ids))
        return ids[:end]

    def _signals(self, step, prompts, texts, completion_ids, verdicts) -> tuple[Signals, np.ndarray]:
        """The signals of a batch, and the policy's mean token entropy on each completion, [N]."""
        batch = models.prompt_ids(self.tokenizer, prompts), completion_ids, self.tokenizer.pad_token_id
        options = {"temperature": self.chosen.temperature, "token_budget": self.chosen.token_budget}
        policy = sequence_scores(self.model, *batch, **options)
        reference = sequence_scores(self.model, *batch, reference=True, **options)
        signals = Signals(
            task_reward=np.array([float(v.correct) for v in verdicts]),
            reference_logprob=reference.logprob,
            policy_logprob=policy.logprob,
            length=np.array([len(ids) for ids in completion_ids]),
            format_reward=np.array(verify.have_one_boxed_answer(texts), dtype=float),
            coin=regimes.coin(self.chosen.seed, step, len(texts)),
        )
        return signals, policy.entropy

    def _row(self, signals, rewards, entropy, truncated, texts, verdicts) -> dict[str, float]:
        """The means of a step; log-probabilities and KL in nats a completion, entropy in nats a token, lengths in tokens."""
        groups = rewards.reshape(-1, self.chosen.completions_per_prompt)
        return {
            "task_accuracy": signals.task_reward.mean(),
            "reward": rewards.mean(),
            "reward_std": rewards.std(),
            "zero_variance": float(np.mean(np.ptp(groups, axis=1) == 0)),
            "reference_logprob": signals.reference_logprob.mean(),
            "policy_logprob": signals.policy_logprob.mean(),
            "kl": (signals.policy_logprob - signals.reference_logprob).mean(),
            "entropy": float(np.average(entropy, weights=signals.length)),
            "length": signals.length.mean(),
            "truncated": truncated.mean(),
            "bare_share": float(np.mean([tiny.is_bare(text) for text in texts])),
            "format": signals.format_reward.mean(),
            "tokens": int(signals.length.sum()),
        } | {f"verdict_{s}": sum(v.status == s for v in verdicts) for s in verify.STATUSES}

    def _write_completions(self, step, problem_id, texts, verdicts, signals, rewards) -> None:
        import pandas as pd

        columns = {"problem_id": problem_id, "completion": texts, "answer": [v.answer for v in verdicts]}
        columns |= {"status": [v.status for v in verdicts], "reward": rewards}
        columns |= {k: getattr(signals, k) for k in ("reference_logprob", "policy_logprob", "length")}
        with runs.atomic(self.run / "completions" / f"step-{step:05d}.parquet") as path:
            pd.DataFrame(columns).to_parquet(path, index=False)


class RunWriter(TrainerCallback):
    """Writes a line of metrics a step, shows the progress bar, marks checkpoints complete, stops a run without signal."""

    def __init__(self, run: Path, chosen, reward: RegimeReward):
        self.run, self.chosen, self.reward = run, chosen, reward
        self.rows: list[dict] = []

    def on_train_begin(self, args, state, control, **_unused):
        """Forgets the lines after the checkpoint that a resumed run starts from."""
        self.rows = [row for row in runs.read_lines(self.run / "metrics.jsonl") if row["step"] < state.global_step]
        self.bar = tqdm(total=args.max_steps, initial=state.global_step, desc=self.run.name, unit="step")

    def on_step_begin(self, args, state, control, **_unused):
        """Starts the step's clock; generation is inside the step."""
        self.started = time.perf_counter()

    def on_log(self, args, state, control, logs=None, **_unused):
        """Adds the step's line; the step's number is that of the updates before its samples, so that 0 is the base."""
        if "loss" not in (logs or {}):
            return
        row = self.reward.last_row | {k: logs[k] for k in ("loss", "grad_norm", "learning_rate")}
        self.rows.append(row | {"seconds": round(time.perf_counter() - self.started, 3)})
        runs.write_lines(self.run / "metrics.jsonl", self.rows)
        shown = {"accuracy": row["task_accuracy"], "R": row["reward"], "length": row["length"]}
        self.bar.set_postfix({name: f"{value:.2f}" for name, value in shown.items()}, refresh=False)
        self.bar.update(1)
        self._stop_without_signal()

    def on_save(self, args, state, control, **_unused):
        """Marks the checkpoint as whole."""
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()

    def on_train_end(self, args, state, control, **_unused):
        """Closes the progress bar."""
        self.bar.close()

    def _stop_without_signal(self) -> None:
        if len(self.rows) != PATIENCE:
            return
        if all(row["truncated"] == 1 for row in self.rows):
            raise UsageError(
                f"All completions of the first {PATIENCE} steps were cut off: raise max_completion_tokens."
            )
        if all(row["zero_variance"] == 1 for row in self.rows):
            raise UsageError(
                f"In the first {PATIENCE} steps all completions of a prompt got the same reward, so nothing can be learnt: "
                "take easier or harder problems, or more completions_per_prompt."
            )


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; removes those that were not."""
    whole = []
    for path in folder.glob("checkpoint-*"):
        if (path / COMPLETE).exists():
            whole.append(path)
        else:
            shutil.rmtree(path)
    return max(whole, key=lambda p: int(p.name.split("-")[1]), default=None)
