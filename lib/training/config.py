"""The settings of a training run. What they mean for TRL is `lib.training.trainer`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lib.models import loading
from lib.rewards import objectives
from lib.storage.config import Config

Count = Annotated[int, Field(ge=1)]


class TrainConfig(Config):
    """Everything that defines a run. Lengths are in tokens; `alpha` and `beta_inv` None mean the objective's own default."""

    model: str
    objective: str
    alpha: float | None = None
    beta_inv: float | None = None
    normalization: str = "sum"
    length_exponent: float = 1.0
    fixed_length: bool = False  # go on after EOS to max_completion_tokens: the length control
    start: str | None = None  # a finished run beside this one: from its policy this one starts, and that is its reference
    seed: Annotated[int, Field(ge=0)] = 0
    data: str = "arithmetic"  # what `lib.data.sets.named` takes
    revision: str | None = None  # of a hub data set; None means the newest, and what it was is recorded
    overlap_with: str | None = None  # a data set whose test problems are looked for among the training problems
    drop_overlap: bool = False  # leave those training problems out, instead of only counting them
    train_problems: Count = 4000
    order: Literal["shuffled", "shortest_first"] = "shuffled"  # shortest_first: by the length of the prompt, a curriculum
    steps: Count = 140
    prompts_per_step: Count = 8
    completions_per_prompt: Annotated[int, Field(ge=2)] = 8  # the leave-one-out baseline needs at least 2
    micro_batch: Count = 64  # completions per forward and backward pass
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    warmup_steps: Annotated[int, Field(ge=0)] = 5
    lr_schedule: Literal["linear", "constant_with_warmup"] = "linear"  # linear: to 0 at the last step
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    lora_rank: Count = 16
    lora_alpha: Count = 32
    load_in_4bit: bool = True
    backend: Literal["unsloth", "plain"] = "unsloth"  # plain: transformers, PEFT and bitsandbytes alone, to compare with
    temperature: Annotated[float, Field(gt=0)] = 1.0  # 1 is the paper's
    generation_batch: Annotated[int, Field(ge=0)] = 0  # completions generated at once without vLLM; 0: all of a step
    engine: Literal["auto", "huggingface", "vllm"] = "auto"  # auto: vLLM where it is installed and a GPU is there
    vllm_memory: Annotated[float, Field(gt=0, le=1)] = 0.5  # share of the GPU that vLLM may take, its weights included
    max_prompt_tokens: Count = 32
    max_completion_tokens: Count = 64
    token_budget: Count = 1024  # tokens that a likelihood pass reads, padding included
    save_every: Count = 20
    keep_checkpoints: Annotated[int, Field(ge=2)] = 2  # the newest ones; of more, 06_evaluate can choose the best
    report_to: list[str] | str = "none"  # TRL's live reporters, such as tensorboard, trackio or wandb

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self.resolved_objective()
        if self.completions_per_step % self.micro_batch:
            whole = f"the {self.completions_per_step} completions of a step"
            raise ValueError(f"micro_batch {self.micro_batch} does not divide {whole}: choose a divisor.")
        if self.drop_overlap and self.overlap_with is None:
            raise ValueError("drop_overlap needs overlap_with: the data set whose test problems must not be trained on.")
        return self

    @property
    def completions_per_step(self) -> int:
        """How many completions a step samples."""
        return self.prompts_per_step * self.completions_per_prompt

    @property
    def generated_at_once(self) -> int:
        """How many completions are generated at once where vLLM does not decide."""
        return min(self.generation_batch or self.completions_per_step, self.completions_per_step)

    def resolved_objective(self) -> objectives.Objective:
        """The objective with its defaults filled in; raises ValueError as `objectives.named` does."""
        return objectives.named(self.objective, self.alpha, self.beta_inv, self.normalization, self.length_exponent)

    def samples_with_vllm(self) -> bool:
        """Whether vLLM generates; if so, truncated importance sampling makes up for what it computes differently."""
        return self.engine == "vllm" or (self.engine == "auto" and self.backend == "unsloth" and loading.vllm_is_there())
