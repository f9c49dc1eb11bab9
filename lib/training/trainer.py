"""TRL's trainer for a run. Import this after Unsloth (`loading.import_unsloth`), which on a GPU replaces TRL's classes."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import trl
from accelerate.utils.memory import should_reduce_batch_size
from tqdm import tqdm
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.utils import RepeatSampler

from lib.models import loading, tokens
from lib.storage import files
from lib.storage.errors import UsageError
from lib.training.config import TrainConfig
from lib.training.record import Record
from lib.training.reward import RewardFunction

PATIENCE = 10  # steps without any signal after which a run gives up
DOING = {"generation": "completions were generated", "likelihood": "completions were scored", "loss": "the loss was taken"}


def grpo_config(config: TrainConfig, output_dir: Path) -> trl.GRPOConfig:
    """TRL's configuration with every field set: ours, or the default of TRL's own class, whatever Unsloth made of it."""
    original = next(c for c in trl.GRPOConfig.__mro__ if c.__module__ == "trl.trainer.grpo_config")
    fields = [f for f in dataclasses.fields(original) if f.init]
    values: dict[str, Any] = {f.name: f.default_factory() if callable(f.default_factory) else f.default for f in fields}
    return trl.GRPOConfig(**values | _fields(config, output_dir))


def _fields(config: TrainConfig, output_dir: Path) -> dict[str, object]:
    """The fields that the kit sets itself; the tests pin which defaults of TRL it relies on."""
    group, gpu, vllm = config.completions_per_prompt, loading.gpu_is_there(), config.samples_with_vllm()
    accumulation = config.completions_per_step // config.micro_batch
    same = ("temperature", "learning_rate", "warmup_steps", "weight_decay", "max_grad_norm", "seed", "report_to")
    return {name: getattr(config, name) for name in same} | {
        # RLOO
        "loss_type": "dapo",  # a mean over the tokens of the whole step
        "scale_rewards": "none",
        "reward_weights": [group / (group - 1)],  # turns the group mean into the leave-one-out baseline
        "beta": 0.0,  # the KL is in the reward
        "epsilon_high": 0.2,  # as epsilon; left unset, Unsloth makes it 0.28 beside "dapo"
        "num_generations": group,
        "gradient_accumulation_steps": accumulation,
        "steps_per_generation": accumulation,  # one generation an update: the ratio is 1 and clipping is inert
        "max_steps": config.steps,
        "per_device_train_batch_size": config.micro_batch,
        "lr_scheduler_type": config.lr_schedule,
        "data_seed": config.seed,
        "shuffle_dataset": config.order == "shuffled",
        # Sampling; where vLLM samples, each token has the weight min(π/π_vLLM, 3)
        "max_completion_length": config.max_completion_tokens,
        "use_vllm": vllm,
        "vllm_importance_sampling_mode": "token_truncate",
        "generation_kwargs": {"ignore_eos": True} if config.fixed_length and vllm else None,
        # Bookkeeping
        "output_dir": str(output_dir),
        "save_steps": config.save_every,
        "logging_steps": 1,
        "disable_tqdm": True,
        "use_cpu": not gpu,
        **dict.fromkeys(("bf16", "gradient_checkpointing", "dataloader_pin_memory"), gpu),
    }


def build(record: Record, config: TrainConfig, model: tokens.Model, tokenizer: tokens.Tokenizer, rows: Any) -> Any:
    """TRL's GRPO trainer for a run: exact RLOO with the kit's reward, writing into the run's folder."""
    reward = RewardFunction(config, record, model, tokenizer)
    trainer: Any = _trainer_class()(
        model=model,
        reward_funcs=[reward],
        args=grpo_config(config, record.folder / "checkpoints"),
        train_dataset=rows,
        processing_class=tokenizer,
        callbacks=[RunWriter(record, reward)],
    )
    trainer._get_train_sampler = lambda *_: ByStep(trainer)
    if config.fixed_length:
        go_on_after_eos(trainer)
    if config.generation_batch and type(trainer) is trl.GRPOTrainer and not trainer.use_vllm:
        generate_in_parts(trainer, config.generated_at_once)
    for parameter in model.parameters():
        if parameter.requires_grad:  # TRL makes them bfloat16, which is too coarse for AdamW's small updates
            parameter.data = parameter.data.float()
    trainer.remove_callback(PrinterCallback)
    return trainer


def _trainer_class() -> type:
    """TRL's class, which on a GPU is what Unsloth made of it."""
    if loading.gpu_is_there():
        return trl.GRPOTrainer
    from lib.training.cpu import CpuTrainer

    return CpuTrainer


def go_on_after_eos(trainer: Any) -> None:
    """Lets every completion go on to its full length, past EOS; vLLM is told by its `generation_kwargs`."""
    trainer.eos_token_ids = []  # where completions are cut
    if not trainer.use_vllm:
        never = trainer.model.config.vocab_size  # no token; None would be filled in from the model's own configuration
        trainer.generation_kwargs["eos_token_id"] = trainer.generation_config.eos_token_id = never


def generate_in_parts(trainer: Any, size: int) -> None:
    """Lets a step's completions be generated at most `size` at a time, since all their keys and values may not fit."""
    whole = trainer._generate_single_turn

    def in_parts(prompt_ids: list[Any], *rest: Any) -> tuple[list[Any], None]:
        parts = (prompt_ids[start : start + size] for start in range(0, len(prompt_ids), size))
        return [ids for part in parts for ids in whole(part, *rest)[0]], None  # no log-probabilities without vLLM

    trainer._generate_single_turn = in_parts


class ByStep(RepeatSampler):
    """TRL's sampler of problems, whose order in an epoch depends on the seed and the step alone, not on how often it was asked:
    else a run that goes on in its second epoch would take the first one's order."""

    def __init__(self, trainer: Any):
        args = trainer.args
        prompts = args.generation_batch_size // trainer.num_generations
        rows, repeats = trainer.train_dataset, trainer.num_iterations * args.steps_per_generation
        super().__init__(rows, trainer.num_generations, prompts, repeats, trainer.shuffle_dataset, args.seed)
        self.trainer, self.steps_per_epoch = trainer, len(rows) // prompts

    def __iter__(self) -> Iterator[int]:
        """The rows of the epoch that the trainer is in."""
        if self.shuffle:
            self.generator.manual_seed(self.trainer.args.seed)
            for _ in range(self.trainer.state.global_step // self.steps_per_epoch):
                torch.randperm(self.num_samples, generator=self.generator)
        return super().__iter__()


class RunWriter(TrainerCallback):
    """Writes a line of metrics per step, shows the progress bar, seals checkpoints, stops a run without signal."""

    def __init__(self, record: Record, reward: RewardFunction):
        self.record, self.reward = record, reward

    def on_train_begin(self, args: Any, state: Any, control: Any, **_unused: Any) -> None:
        self.bar = tqdm(total=args.max_steps, initial=state.global_step, desc=self.record.folder.name, unit="step")

    def on_step_begin(self, args: Any, state: Any, control: Any, **_unused: Any) -> None:
        """Starts the step's clock; generation is inside the step."""
        self.started, self.reward.phase = time.perf_counter(), "generation"

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_unused: Any) -> None:
        """Adds the step's line; the step's number is that of the updates before its samples, so that 0 is the base."""
        if logs is None or "loss" not in logs:
            return
        row = self.reward.last_row | {k: logs[k] for k in ("loss", "grad_norm", "learning_rate")}
        self.record.keep_row(row | {"seconds": round(time.perf_counter() - self.started, 3)})
        shown = f"accuracy={row['task_accuracy']:.2f}, R={row['reward']:.2f}, length={row['length']:.2f}"
        self.bar.set_postfix_str(shown, refresh=False)
        self.bar.update(1)
        if len(self.record.rows) == PATIENCE:
            self._stop_without_signal(self.record.rows)

    def on_save(self, args: Any, state: Any, control: Any, **_unused: Any) -> None:
        """A checkpoint counts from here on."""
        config = self.reward.config
        self.record.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}", config.keep_checkpoints)

    def on_train_end(self, args: Any, state: Any, control: Any, **_unused: Any) -> None:
        self.bar.close()

    def _stop_without_signal(self, rows: list[dict]) -> None:
        if all(row["truncated"] == 1 for row in rows):
            raise UsageError(f"All completions of the first {PATIENCE} steps were cut off: raise max_completion_tokens.")
        if all(row["zero_variance"] == 1 for row in rows):
            what = f"In the first {PATIENCE} steps all completions of a prompt got the same reward, so nothing can be learnt"
            raise UsageError(f"{what}: take easier or harder problems, or more completions_per_prompt.")


def fit(trainer: Any, config: TrainConfig, start: Path | None) -> Path:
    """Trains to the last step, from a checkpoint if there is one; returns the checkpoint of the last step."""
    end = Path(trainer.args.output_dir) / f"checkpoint-{config.steps}"
    if start != end:
        with in_one_sentence(config, trainer), files.room_for(end):
            trainer.train(resume_from_checkpoint=str(start) if start else None)
    return end


@contextlib.contextmanager
def in_one_sentence(config: TrainConfig, trainer: Any) -> Iterator[None]:
    """Inside, running out of memory raises UsageError, which names the setting that decides it, and a value to try."""
    try:
        yield
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
        phase = trainer.reward_funcs[0].phase
        advice = smaller(config, phase)
        kept = "The run keeps its last checkpoint and goes on from there."
        then = "That is another run: give it a name of its own." if "max_completion_tokens" in advice else kept
        raise UsageError(f"Memory ran out while {DOING[phase]}: set {advice}. {then}") from error


def smaller(config: TrainConfig, phase: str) -> str:
    """The setting that makes a phase of a step smaller, and half of it: `micro_batch to 4 (8 now)`; or else shorter completions."""
    longest = config.max_prompt_tokens + config.max_completion_tokens
    micro = next((n for n in range(config.micro_batch // 2, 0, -1) if config.completions_per_step % n == 0), 0)
    name, now, less = {
        "generation": ("generation_batch", config.generated_at_once, config.generated_at_once // 2),
        "likelihood": ("token_budget", config.token_budget, config.token_budget // 2 if config.token_budget > longest else 0),
        "loss": ("micro_batch", config.micro_batch, micro),
    }[phase]
    if phase == "generation" and config.samples_with_vllm():
        return f"vllm_memory to {config.vllm_memory / 2:g} ({config.vllm_memory:g} now)"
    if less < 1:
        name, now, less = "max_completion_tokens", config.max_completion_tokens, config.max_completion_tokens // 2
    return f"{name} to {less} ({now} now)"
