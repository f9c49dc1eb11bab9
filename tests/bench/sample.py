"""Sampling with a seed for every sample, against transformers' own `generate` with one seed for all."""

import torch
from transformers import GenerationConfig

from lib import models, problems
from lib.sample import Sampler, sample
from tests.bench import seconds


def main() -> None:
    """512 completions of the embedded base in batches of 512 and of 64; the ratio is ours / theirs."""
    model, tokenizer = models.load(models.resolve("many_wordings"), 96)
    test_set = problems.load("arithmetic", "test", 32)
    prompts = [ids for ids in models.prompt_ids(tokenizer, [p.messages for p in test_set]) for _ in range(16)]
    ends = sorted(models.eos_token_ids(model, tokenizer))
    shared = {"max_new_tokens": 64, "eos_token_id": ends, "pad_token_id": tokenizer.pad_token_id}
    config = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=1.0, **shared)

    def theirs(size: int) -> None:
        torch.manual_seed(0)
        for start in range(0, len(prompts), size):
            part = prompts[start : start + size]
            batch = tokenizer.pad({"input_ids": part}, return_tensors="pt")
            with torch.no_grad():
                model.generate(**batch, generation_config=config)

    for size in (512, 64):
        ours = seconds(lambda size=size: sample(model, tokenizer, prompts, Sampler(batch_size=size)), repeats=3)
        other = seconds(lambda size=size: theirs(size), repeats=3)
        print(f"batches of {size:3}: ours {ours:.2f} s, generate's own {other:.2f} s, ratio {ours / other:.2f}")
