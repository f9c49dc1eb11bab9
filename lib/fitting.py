"""Whether a training run or an evaluation fits into a GPU's memory, and the largest setting that would: `lib.memory` against what
is free."""

import dataclasses
import gc

from lib import memory
from lib.memory import GIB, Config, Prediction, predict
from lib.runs import UsageError

PHASE_OF = {
    "generation_batch": "generation",
    "batch_size": "generation",
    "token_budget": "likelihood",
    "micro_batch": "loss",
}


def largest_fitting(config: Config, settings, free: float, vllm_on: float = 0) -> str | None:
    """The largest change to the settings that fits into `free` bytes, such as "micro_batch 4", or None if none of them does.

    Each phase has a setting that makes it smaller and changes no result but rounding and which samples are drawn; completions are
    shortened only where these are not enough. Arguments are as in `predict`.
    """
    for part in (1, 2, 4, 8):
        now = dataclasses.replace(settings, max_completion_tokens=settings.max_completion_tokens // part)
        for name, phase in PHASE_OF.items():
            if hasattr(settings, name) and now is not None:
                options = (dataclasses.replace(now, **{name: size}) for size in _sizes(settings, name))
                now = next((new for new in options if _takes(predict(config, new, vllm_on), phase) <= free), None)
        if now is not None and now.max_completion_tokens > 0:
            names = (*PHASE_OF, "max_completion_tokens")
            changed = [f"{n} {getattr(now, n)}" for n in names if getattr(now, n, 0) != getattr(settings, n, 0)]
            return ", ".join(changed) or "these settings"
    return None


def _sizes(settings, name: str) -> list[int]:
    """What a setting may be made, its own value first: divisors of a step for `micro_batch`, else its halves."""
    own = getattr(settings, name)
    if name == "micro_batch":
        step = settings.prompts_per_step * settings.completions_per_prompt
        return [size for size in range(own, 0, -1) if step % size == 0]
    start = settings.at_once() if name == "generation_batch" else own
    return [own] + [start >> power for power in range(1, start.bit_length())]


def _takes(predicted: Prediction, phase: str) -> float:
    """The bytes that there must be in one phase."""
    return predicted.stays + getattr(predicted, phase)


def refuse_what_does_not_fit(what: str, config: Config, settings, free: float, vllm_on: float = 0) -> Prediction:
    """Raises UsageError if what is done is predicted to take more than `free` bytes of GPU memory; else returns the prediction."""
    predicted = predict(config, settings, vllm_on)
    if predicted.total > free:
        fits = largest_fitting(config, settings, free, vllm_on)
        advice = (
            f"the largest setting that fits is {fits}"
            if fits
            else "none of its settings makes it fit: take a smaller model"
        )
        raise UsageError(
            f"{what} is predicted to take {predicted.describe()}, but {free / GIB:.1f} GiB of GPU memory are free: {advice}."
        )
    return predicted


def refuse_on_this_gpu(what: str, source, settings, vllm: bool) -> None:
    """As `refuse_what_does_not_fit`, for a model (`models.Source`) on this machine's GPU; does nothing where there is none.

    Says so where it cannot be told. Unsloth must have been imported if it is going to be: it sets up CUDA's allocator.
    """
    import torch

    if not torch.cuda.is_available():
        return
    config = memory.config_of(source)
    if config.get("model_type") not in memory.KINDS:
        print(f"Whether {source.name} fits cannot be told: it is none of {', '.join(memory.KINDS)}.")
        return
    gc.collect()  # a model that this process is done with
    free, total = of_gpu()
    refuse_what_does_not_fit(what, config, settings, free, total if vllm else 0)


def of_gpu() -> tuple[int, int]:
    """(free, total) bytes of the GPU for this process, within a cap of `torch.cuda.set_per_process_memory_fraction`.

    What torch's allocator holds without using it counts as free. Needs a GPU.
    """
    import torch

    free, total = torch.cuda.mem_get_info()
    reserved, used = torch.cuda.memory_reserved(), torch.cuda.memory_allocated()
    cap = int(total * torch.cuda.get_per_process_memory_fraction())
    return min(free + reserved, cap) - used, cap
