"""Training one regime: 4-bit LoRA and TRL's GRPO trainer set up as exact RLOO.

RLOO is GRPO without division by the standard deviation, times G/(G−1); the loss is a mean over tokens, nothing is clipped and
no KL is in the loss, because every regime carries its KL in the reward. The reward is `lib.regimes`.
"""

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

from lib import fitting, models, overlap, problems, regimes, runs, verify
from lib.runs import UsageError

ALL = 20_000  # more problems than any test set has
SCHEDULES = ("linear", "constant_with_warmup")
ENGINES = ("auto", "huggingface", "vllm")
BACKENDS = ("unsloth", "plain")


@dataclass(frozen=True)
class Settings:
    """Everything that defines a run. Lengths are in tokens; `alpha` and `beta_inv` None mean the regime's own default."""

    model: str
    regime: str
    alpha: float | None = None
    beta_inv: float | None = None
    normalization: str = "sum"
    weight: float = 1.0
    fixed_length: bool = False  # go on after EOS to max_completion_tokens: the length control
    seed: int = 0
    data: str = "arithmetic"  # what `lib.problems.load_set` takes
    revision: str | None = None  # of a hub data set; None means the newest, and what it was is recorded
    overlap_with: str | None = None  # a data set whose test problems are looked for among the training problems
    drop_overlap: bool = False  # leave those training problems out, instead of only counting them
    train_problems: int = 4000
    steps: int = 140
    prompts_per_step: int = 8
    completions_per_prompt: int = 8
    micro_batch: int = 64  # completions a forward and backward pass
    learning_rate: float = 3e-4
    warmup_steps: int = 5
    lr_schedule: str = "linear"  # to 0 at the last step; or "constant_with_warmup"
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    lora_rank: int = 16
    lora_alpha: int = 32
    load_in_4bit: bool = True
    backend: str = "unsloth"  # or plain: transformers, PEFT and bitsandbytes without Unsloth, to compare with
    temperature: float = 1.0
    generation_batch: int = 0  # completions that are generated at once without vLLM; 0 means all of a step
    engine: str = "auto"  # of sampling: vLLM through Unsloth where it is installed and a GPU is there, else huggingface
    vllm_memory: float = 0.5  # share of the GPU that vLLM may take, the weights that it shares included
    max_prompt_tokens: int = 32
    max_completion_tokens: int = 64
    token_budget: int = 1024  # padded tokens a likelihood pass
    save_every: int = 20
    keep_checkpoints: int = 2  # the newest ones; more of them give 06_evaluate more to choose the best from

    def resolved_regime(self) -> regimes.Regime:
        """The regime with its defaults filled in; raises ValueError as `regimes.named` does."""
        return regimes.named(self.regime, self.alpha, self.beta_inv, self.normalization, self.weight)

    def at_once(self) -> int:
        """How many completions are generated at once where vLLM does not decide."""
        step = self.prompts_per_step * self.completions_per_prompt
        return min(self.generation_batch or step, step)

    def samples_with_vllm(self) -> bool:
        """Whether vLLM generates; if so, truncated importance sampling makes up for what it computes differently."""
        possible = self.backend == "unsloth" and models.vllm_is_there()
        return self.engine == "vllm" or (self.engine == "auto" and possible)

    def check(self) -> models.Source:
        """Raises ValueError or UsageError, before anything is loaded, for settings that cannot be trained; else the model."""
        self.resolved_regime()
        batch = self.prompts_per_step * self.completions_per_prompt
        if self.prompts_per_step < 1 or self.seed < 0:
            raise UsageError("prompts_per_step must be at least 1, and seed not negative.")
        if self.lr_schedule not in SCHEDULES:
            raise UsageError(f"Unknown lr_schedule {self.lr_schedule!r}: choose one of {', '.join(SCHEDULES)}.")
        if self.engine not in ENGINES:
            raise UsageError(f"Unknown engine {self.engine!r}: choose one of {', '.join(ENGINES)}.")
        if self.backend not in BACKENDS:
            raise UsageError(f"Unknown backend {self.backend!r}: choose one of {', '.join(BACKENDS)}.")
        if self.backend == "plain" and not models.gpu_is_there():
            raise UsageError(
                "The backend plain needs a GPU, since TRL's own loss has only a GPU kernel: choose unsloth."
            )
        if self.engine == "vllm" and (self.backend == "plain" or not models.vllm_is_there()):
            raise UsageError(
                "The engine vllm needs a GPU, requirements-vllm.txt and the backend unsloth: install it, or choose auto."
            )
        if self.completions_per_prompt < 2:
            raise UsageError("completions_per_prompt is below 2: the leave-one-out baseline needs at least 2.")
        if self.steps < 1 or self.save_every < 1 or self.keep_checkpoints < 1:
            raise UsageError("steps, save_every and keep_checkpoints must be at least 1.")
        if self.generation_batch < 0:
            raise UsageError("generation_batch must be at least 1, or 0 for all completions of a step.")
        if self.micro_batch < 1 or batch % self.micro_batch:
            raise UsageError(
                f"micro_batch {self.micro_batch} does not divide the {batch} completions of a step: choose a divisor."
            )
        if self.temperature <= 0:
            raise UsageError("temperature must be above 0 for training: 1 is the paper's.")
        if self.drop_overlap and self.overlap_with is None:
            raise UsageError(
                "drop_overlap needs overlap_with: the data set whose test problems must not be trained on."
            )
        problems.load(self.data, "train", 1, revision=self.revision)
        if self.overlap_with is not None:
            problems.load(self.overlap_with, "test", 1)
        return models.resolve(self.model)


def settings(profile: str, **chosen: object) -> Settings:
    """Settings of a run: the profile's `train` section for its model, under what is chosen here (None leaves the profile's)."""
    own = runs.section(runs.load_profile(profile), "train", str(chosen.get("model")))
    values = own | {k: v for k, v in chosen.items() if v is not None}
    if unknown := sorted(set(values) - {f.name for f in dataclasses.fields(Settings)}):
        raise UsageError(f"Unknown training settings {', '.join(unknown)}: see lib.train.Settings for those there are.")
    return Settings(**values)


def train(run: Path, chosen: Settings) -> Path:
    """Trains a run into its folder, from its last checkpoint if it has one; does nothing if it is finished.

    Raises UsageError before loading anything if the settings make no sense or the folder holds a run with other settings.
    """
    source, run = chosen.check(), Path(run)
    with runs.lock(run):
        _same_settings_or_new(run, chosen, source)
        runs.sweep(run)
        if finished(run):
            print(f"{run.name} is finished: nothing to train.")
            return run
        if chosen.backend == "unsloth":
            models.import_unsloth()
        fitting.refuse_on_this_gpu(f"Training {source.name}", source, chosen, chosen.samples_with_vllm())
        vllm = models.Vllm(chosen.vllm_memory, chosen.lora_rank) if chosen.samples_with_vllm() else None
        tokens = chosen.max_prompt_tokens + chosen.max_completion_tokens
        model, tokenizer = models.load(source, tokens, chosen.load_in_4bit, vllm, chosen.backend)
        model = models.add_adapter(model, chosen.lora_rank, chosen.lora_alpha, chosen.seed, chosen.backend)
        _train(run, chosen, source, model, tokenizer)
    return run


def finished(run: Path) -> bool:
    """Whether a run has its final adapter."""
    return (Path(run) / "adapter" / "adapter_config.json").is_file()


def _same_settings_or_new(run: Path, chosen: Settings, source: models.Source) -> None:
    path = run / "config.json"
    if not path.exists():
        return
    config = runs.read_json(path)
    defaults = {f.name: f.default for f in dataclasses.fields(Settings)}  # for settings that are younger than the run
    before = defaults | config["settings"] | {"weights": config["model"]["fingerprint"]}
    now = dataclasses.asdict(chosen) | {"weights": source.fingerprint}
    if changed := [f"{k} ({before.get(k)} there, {v} here)" for k, v in now.items() if before.get(k) != v]:
        raise UsageError(
            f"{run} holds a run with other settings: {', '.join(changed)}. Name a new run, or delete that folder."
        )


def _same_data_or_new(run: Path, revision: str | None) -> None:
    """Raises UsageError if a run that goes on would go on with another version of its data."""
    before = runs.read_json(run / "config.json")["problems"].get("revision") if (run / "config.json").exists() else None
    if before not in (None, revision):
        raise UsageError(f"{run} was trained on version {before} of its data, which is now {revision}: name a new run.")


def _train(run: Path, chosen: Settings, source: models.Source, model, tokenizer) -> None:
    """The part that needs the trainer's libraries, which must be imported after Unsloth."""
    from transformers import PrinterCallback, ProgressCallback
    from trl import GRPOTrainer

    from lib.trainer import RegimeReward, RunWriter, generate_in_parts, go_on_after_eos, grpo_config, last_checkpoint

    rows, about = _rows(chosen, tokenizer)
    _same_data_or_new(run, about["revision"])
    reward = RegimeReward(chosen, run, model, tokenizer)
    config = grpo_config(chosen, run / "checkpoints")
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[reward],
        args=config,
        train_dataset=rows,
        processing_class=tokenizer,
        callbacks=[RunWriter(run, chosen, reward)],
    )
    if chosen.fixed_length:
        go_on_after_eos(trainer)
    if chosen.generation_batch and not trainer.use_vllm:
        generate_in_parts(trainer, chosen.at_once())
    # TRL casts a quantised model's adapter to bfloat16, which is too coarse for AdamW's small updates
    for parameter in filter(lambda p: p.requires_grad, model.parameters()):
        parameter.data = parameter.data.float()
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)
    described = {
        "settings": dataclasses.asdict(chosen),
        "regime": dataclasses.asdict(chosen.resolved_regime()),
        "model": dataclasses.asdict(source),
        "problems": about,
        "verifier": verify.description(strict=True),
        "eos_token_ids": sorted(models.eos_token_ids(model, tokenizer)),
        "trainer": config.to_dict(),
    }
    runs.write_json(run / "environment.json", runs.environment())
    runs.write_json(run / "config.json", described)
    checkpoint = last_checkpoint(run / "checkpoints")
    if checkpoint is None or checkpoint.name != f"checkpoint-{chosen.steps}":
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        checkpoint = last_checkpoint(run / "checkpoints")
    _save_adapter(checkpoint, run)


def _rows(chosen: Settings, tokenizer):
    """(data set of `prompt`, `gold`, `problem_id`, what it is made of and what was left out, for `config.json`)."""
    from datasets import Dataset

    found = problems.load_set(chosen.data, "train", chosen.train_problems, revision=chosen.revision)
    fits, too_long = models.fitting(tokenizer, found.problems, chosen.max_prompt_tokens)
    about = {"revision": found.revision, "too_long": too_long, "unreadable_golds": list(found.unreadable)}
    if chosen.overlap_with is not None:
        shared = overlap.shared(fits, problems.load(chosen.overlap_with, "test", ALL))
        about |= {"overlap": shared, "overlap_dropped": chosen.drop_overlap}
        print(f"{len(shared)} of {len(fits)} training problems share {overlap.WORDS} words with {chosen.overlap_with}.")
        dropped = set(shared) if chosen.drop_overlap else set()
        fits = [p for p in fits if p.id not in dropped]
    if len(fits) < chosen.prompts_per_step:
        raise UsageError(
            f"Only {len(fits)} of {len(found.problems)} prompts can be used ({too_long} have more than "
            f"{chosen.max_prompt_tokens} tokens), but a step takes {chosen.prompts_per_step}: raise max_prompt_tokens or "
            "train_problems."
        )
    rows = [{"prompt": p.messages, "gold": p.gold, "problem_id": p.id} for p in fits]
    return Dataset.from_list(rows), {"train": len(fits)} | about


def _save_adapter(checkpoint: Path | None, run: Path) -> None:
    """The adapter of the last checkpoint, which is that of the last step, becomes the run's."""
    if checkpoint is None:
        raise RuntimeError("Training ended without a checkpoint: start it again.")
    partial = run / ".adapter"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copy(checkpoint / name, partial)
    partial.rename(run / "adapter")
