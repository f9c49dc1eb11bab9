"""How long a profile may take on a GPU: a rough estimate from data sheets, before anything was measured.

Every constant here is assumed. What a GPU did take is in `data/results/gpu/` once it was measured (`make bench-gpu`).
"""

from typing import NamedTuple

from lib import evaluate, memory, runs, train

UTILISATION = 0.3  # assumed: of the peak arithmetic, in training and scoring
BANDWIDTH = 0.5  # assumed: of the peak memory bandwidth, in generation
PASS = {
    "huggingface": 0.04,
    "vllm": 0.012,
}  # assumed: least seconds a token of a whole batch, kernels' launches included
LENGTH = 0.4  # assumed: a completion's mean length, as a share of the longest allowed
FORWARDS = 6  # forward passes a training token costs: policy and reference scored, loss, recomputed, backward twice
FACTOR = 2.0  # the estimate is between the hours divided by this and multiplied by it


class Card(NamedTuple):
    """A GPU's data sheet: dense bfloat16 arithmetic in TFLOP/s, memory bandwidth in GB/s."""

    tflops: float
    bandwidth: float


CARDS = {  # from the makers' data sheets; the first name that is part of the device's name counts
    "RTX 3090": Card(71, 936),
    "RTX 4090": Card(165, 1008),
    "A6000": Card(155, 768),
    "L40S": Card(362, 864),
    "A100": Card(312, 1555),
    "H100": Card(989, 3350),
    "H200": Card(989, 4800),
}


def card(name: str) -> Card | None:
    """The data sheet of a device by its name, or None for one that the table does not have."""
    return next((sheet for part, sheet in CARDS.items() if part in name), None)


def of_step(config: memory.Config, settings: train.Settings, on: Card, engine: str) -> float:
    """Seconds of one training step."""
    step = settings.prompts_per_step * settings.completions_per_prompt
    at_once = settings.at_once() if engine == "huggingface" else step
    tokens = step * (settings.max_prompt_tokens + LENGTH * settings.max_completion_tokens)
    arithmetic = 2 * sum(memory.parameters(memory.shape(config))) * tokens * FORWARDS
    generation = -(-step // at_once) * _generate(config, settings, on, engine, at_once)
    return generation + arithmetic / (on.tflops * 1e12 * UTILISATION)


def of_evaluation(config: memory.Config, settings: train.Settings, how: evaluate.Plan, on: Card, engine: str) -> float:
    """Seconds of one evaluation, in batches of `how.batch_size`, at most so many problems as the plan asks for."""
    completions = how.problems * (how.samples + 1)
    batch = min(how.batch_size, completions)
    each = _generate(config, settings, on, engine, batch, how.max_completion_tokens)
    tokens = completions * (how.max_prompt_tokens + LENGTH * how.max_completion_tokens)
    arithmetic = 2 * sum(memory.parameters(memory.shape(config))) * tokens * 2
    return completions / batch * each + arithmetic / (on.tflops * 1e12 * UTILISATION)


def _generate(config, settings, on: Card, engine: str, batch: int, most: int | None = None) -> float:
    """Seconds in which a batch is generated: as many passes as the longest completion has tokens."""
    s, most = memory.shape(config), most or settings.max_completion_tokens
    read = memory.weight_bytes(s, settings.load_in_4bit) + memory.cache_bytes(s, batch * most // 2)
    return most * max(PASS[engine], read / (on.bandwidth * 1e9 * BANDWIDTH))


def of_profile(profile: str, configs: dict[str, memory.Config], device: str, vllm: bool) -> tuple[float, float] | None:
    """(fewest, most) hours of a profile's training and evaluation on a device, or None for a device without a data sheet here.

    `configs` are the models' configurations. The last notebook's samplers are not counted.
    """
    on, seconds = card(device), 0.0
    if on is None:
        return None
    described, engine = runs.load_profile(profile), "vllm" if vllm else "huggingface"
    trained = list(runs.profile_runs(described).values())
    for model in runs.profile_models(described):
        rows = [row for row in trained if row["model"] == model]
        chosen = train.settings(profile, **rows[0])
        evaluated = sum(
            of_evaluation(configs[model], chosen, how, on, engine) for how in evaluate.plans(profile, model)
        )
        step = of_step(configs[model], chosen, on, engine)
        seconds += len(rows) * chosen.steps * step + (len(rows) + 1) * evaluated
    return seconds / 3600 / FACTOR, seconds / 3600 * FACTOR
