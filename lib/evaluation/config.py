"""The settings of an evaluation."""

from typing import Annotated, Literal, Self

from pydantic import Field

from lib.models.sampling import Sampler
from lib.storage.config import Config
from lib.storage.folders import evaluation_stem

Count = Annotated[int, Field(ge=1)]


class EvalConfig(Config):
    """What every model of a profile is evaluated on, and how. Lengths are in tokens. Raises UsageError for what makes no sense."""

    data: str = "arithmetic"  # what `lib.data.sets.named` takes
    split: Literal["train", "validation", "test"] = "test"
    revision: str | None = None  # of a hub data set; None means the newest, and what it was is recorded
    problems: Count = 200
    samples: Count = 16  # per problem
    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0  # 0: all tokens
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    max_prompt_tokens: Count = 32
    max_completion_tokens: Count = 64
    batch_size: Count = 512  # completions sampled at a time; halved while memory runs out
    chunk: Count = 64  # problems between two savings
    token_budget: Count = 1024  # tokens that a likelihood pass reads, padding included
    seed: Annotated[int, Field(ge=0)] = 0
    on_training_data: bool = False  # evaluate a run on the very file that it was trained on
    validation_problems: Count = 100  # for the best checkpoint, from the validation split
    validation_samples: Count = 4
    vllm_memory: Annotated[float, Field(gt=0, le=1)] = 0.5  # share of the GPU that vLLM may take, its weights included

    @property
    def data_set(self) -> str:
        """The data set and its split, as tables name it: `arithmetic/test`."""
        return f"{self.data}/{self.split}"

    @property
    def stem(self) -> str:
        """The file name of its results, less the ending."""
        return evaluation_stem(self.data, self.split)

    @property
    def sampler(self) -> Sampler:
        """How the samples are drawn; greedy answers differ in the temperature alone."""
        shared = self.model_dump(include={"temperature", "top_p", "top_k", "repetition_penalty", "batch_size", "seed"})
        return Sampler(max_tokens=self.max_completion_tokens, **shared)

    def samples_from_p(self) -> bool:
        """Whether the samples are draws from the model itself, as a forecast needs them."""
        return (self.temperature, self.top_p, self.top_k, self.repetition_penalty) == (1, 1, 0, 1)

    def validation(self) -> Self:
        """The settings by which checkpoints are told apart: fewer problems, of the validation split."""
        return self.changed(split="validation", problems=self.validation_problems, samples=self.validation_samples)

    def identity(self) -> dict[str, object]:
        """The settings that a result depends on: not where it was computed, nor how a checkpoint was chosen."""
        return self.model_dump(exclude={"vllm_memory", "validation_problems", "validation_samples", "on_training_data"})
