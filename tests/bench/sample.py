"""Sampling with a seed for every sample, against transformers' own `generate` with one seed for all."""

import time

import torch
from transformers import GenerationConfig

from lib.data import problems
from lib.models import loading, sources, tokens
from lib.models.sampling import Sampler, sample


def main() -> None:
    """512 completions of the embedded base in batches of 512 and of 64; the ratio is ours / theirs, a pass through the model.

    Per pass, because a batch takes as many passes as its longest completion has tokens, and the two draw different ones.
    """
    model, tokenizer = loading.load(sources.resolve("many_wordings"), 96)
    test_set = problems.load("arithmetic", "test", 32)
    prompts = [ids for ids in tokens.prompt_ids(tokenizer, [p.messages for p in test_set]) for _ in range(16)]
    ends = sorted(tokens.eos_token_ids(model, tokenizer))
    shared = {"max_new_tokens": 64, "eos_token_id": ends, "pad_token_id": tokenizer.pad_token_id}
    config = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=1.0, **shared)

    def theirs(size: int) -> int:
        """How many passes it took."""
        torch.manual_seed(0)
        passes = 0
        for start in range(0, len(prompts), size):
            batch = tokenizer.pad({"input_ids": prompts[start : start + size]}, return_tensors="pt")
            with torch.no_grad():
                passes += model.generate(**batch, generation_config=config).shape[1] - batch["input_ids"].shape[1]
        return passes

    def ours(size: int) -> int:
        lengths = [len(c.ids) for c in sample(model, tokenizer, prompts, Sampler(batch_size=size))]
        return sum(max(lengths[start : start + size]) for start in range(0, len(lengths), size))

    for size in (512, 64):
        times = {theirs: [], ours: []}
        for _ in range(5):  # in turn, so that what else the machine does meets both
            for draw, found in times.items():
                started = time.perf_counter()
                passes = draw(size)
                found.append(1000 * (time.perf_counter() - started) / passes)
        other, mine = (min(found[1:]) for found in times.values())
        print(f"batches of {size:3}: ours {mine:.1f} ms a pass, generate's own {other:.1f} ms, ratio {mine / other:.2f}")
