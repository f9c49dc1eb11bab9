"""A training step on a CPU, against the same step as TRL and Unsloth take it: packed layers, a pass for each log-probability."""

import contextlib
import statistics
import tempfile
from pathlib import Path

import pytest
import torch

from lib.models import dense, loading, scoring, sources, tokens
from lib.models.sampling import Sampler, sample
from lib.storage import files
from lib.training import train
from lib.training.config import TrainConfig
from tests.bench import gpu, seconds

SMOLLM2 = {"model_type": "llama", "vocab_size": 49_152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30}
SMOLLM2 |= {"num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True, "max_position_embeddings": 8192}
TINY = TrainConfig(model="one_wording", objective="tempered", steps=8)
LARGE = TINY.changed(  # 32 completions of 48 tokens after prompts of about 60; random weights never end a completion
    steps=3, warmup_steps=0, prompts_per_step=4, micro_batch=32, max_prompt_tokens=80, max_completion_tokens=48
)


@contextlib.contextmanager
def before():
    """Inside, steps are taken as the kit took them before it had passes of its own."""
    import trl

    from lib.training import reward, trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "SHARE", 0)
        patch.setattr(trainer, "_trainer_class", lambda: trl.GRPOTrainer)
        for module in (scoring, reward):
            patch.setattr(module, "on_cpu", lambda model: False)
        yield


def step(config: TrainConfig) -> float:
    """Seconds that a step takes, without the first one."""
    with tempfile.TemporaryDirectory() as folder:
        run = train.train(train.prepare(Path(folder) / "run", config))
        return statistics.median(row["seconds"] for row in files.read_lines(run / "metrics.jsonl")[1:])


def compare(name: str, config: TrainConfig) -> None:
    with before():
        old = step(config)
    new = step(config)
    print(f"{name}: a step takes {new:.2f} s, {new / old:.2f} of the {old:.2f} s that it took before")


def merging() -> None:
    """Sampling with each layer as one matrix, against the adapter beside its base."""
    model, tokenizer = loading.load(sources.resolve("one_wording"), 96)
    model = loading.add_adapter(model, 16, 32, 0)
    prompts = tokens.prompt_ids(tokenizer, [[{"role": "user", "content": f"{n}+4821"}] for n in range(8)] * 8)
    one = seconds(lambda: sample(model, tokenizer, prompts, Sampler()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lib.models.sampling.merged", lambda model: contextlib.nullcontext())
        apart = seconds(lambda: sample(model, tokenizer, prompts, Sampler()))
    print(f"tiny base: 64 completions take {one:.2f} s merged, {one / apart:.2f} of the {apart:.2f} s unmerged")


def bfloat16() -> None:
    """A matrix product of the larger shape in bfloat16, against float32, in which the kit computes on every CPU."""
    x, weight = torch.randn(512, 576), torch.randn(1536, 576)
    half = x.bfloat16(), weight.bfloat16()
    ratio = seconds(lambda: half[0] @ half[1].T, 20) / seconds(lambda: x @ weight.T, 20)
    print(f"bfloat16: a matrix product takes {ratio:.2f} of float32's time on this CPU")


def main() -> None:
    torch.set_num_threads(1)
    merging()
    compare("tiny base", TINY)
    torch.set_num_threads(2)
    bfloat16()
    with tempfile.TemporaryDirectory() as folder:
        rows = [{"prompt": "+".join(str(1000 + n + 7 * i) for i in range(11)), "gold": "1"} for n in range(16)]
        files.write_lines(Path(folder) / "long.jsonl", rows)
        model = gpu.build(SMOLLM2, Path(folder) / "smollm2-shape")
        compare("SmolLM2-135M's shape", LARGE.changed(model=str(model), data=f"{folder}/long.jsonl", train_problems=16))
