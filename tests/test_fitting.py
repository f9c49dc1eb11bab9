"""What fits into a GPU's memory, by stand-ins for one."""

import dataclasses

import pytest

from lib import evaluate, fitting, memory, models
from lib.runs import UsageError
from tests.test_memory import RUN

QWEN = memory.SHAPES["Qwen/Qwen2.5-3B-Instruct"]
PLAN = evaluate.Plan(max_prompt_tokens=512, max_completion_tokens=1536, batch_size=256, token_budget=4096)


def changed(settings, **values):
    return dataclasses.replace(settings, **values)


@pytest.mark.parametrize("model", memory.SHAPES)
def test_what_is_said_to_fit_fits_and_the_next_larger_does_not(model):
    """A wide loss: generation and likelihood are made small enough not to matter."""
    config = memory.SHAPES[model]
    wide = changed(RUN, micro_batch=64, generation_batch=1)
    free = memory.predict(config, changed(wide, micro_batch=16)).total
    assert fitting.largest_fitting(config, wide, free) == "micro_batch 16"
    assert memory.predict(config, changed(wide, micro_batch=32)).total > free
    assert fitting.largest_fitting(config, changed(wide, micro_batch=16), free) == "these settings"
    assert fitting.largest_fitting(config, wide, memory.GIB) is None
    with pytest.raises(
        UsageError, match="Training x is predicted .* are free: the largest setting that fits is micro_batch 16"
    ):
        fitting.refuse_what_does_not_fit("Training x", config, wide, free)
    with pytest.raises(UsageError, match="take a smaller model"):
        fitting.refuse_what_does_not_fit("Training x", config, wide, memory.GIB)


def test_every_phase_has_its_setting_and_only_those_that_must_are_changed():
    wide = changed(RUN, micro_batch=1, token_budget=65_536, generation_batch=1)
    free = memory.predict(QWEN, changed(wide, token_budget=32_768)).total
    assert fitting.largest_fitting(QWEN, wide, free) == "token_budget 32768"
    many = changed(RUN, prompts_per_step=64)
    free = memory.predict(QWEN, changed(many, generation_batch=128)).total
    assert memory.predict(QWEN, many).total > free
    assert fitting.largest_fitting(QWEN, many, free) == "generation_batch 128"
    both = changed(many, token_budget=500_000)
    assert fitting.largest_fitting(QWEN, both, free) == "generation_batch 128, token_budget 31250"
    assert fitting.largest_fitting(QWEN, changed(many, generation_batch=128), free) == "these settings"


def test_completions_are_shortened_only_where_nothing_else_is_enough():
    least = changed(RUN, micro_batch=1, token_budget=1, generation_batch=1, max_completion_tokens=8192)
    free = memory.predict(QWEN, changed(least, max_completion_tokens=4096)).total
    assert fitting.largest_fitting(QWEN, least, free) == "max_completion_tokens 4096"
    assert memory.predict(QWEN, least).total > free


def test_an_evaluation_needs_no_optimiser_and_generates_a_batch():
    training, found = memory.predict(QWEN, RUN), memory.predict(QWEN, PLAN)
    assert found.loss == 0 and found.weights == training.weights
    s = memory.shape(QWEN)
    assert found.adapter == 4 * 64 * s.layers * sum(a + b for a, b in memory.linears(s))
    logits = 256 * s.vocabulary * (2 + 4 + 4 * 8), 64 * s.vocabulary * (2 + 4 + 4)
    assert found.generation - logits[0] == pytest.approx(4 * (training.generation - logits[1]))  # 256 completions to 64
    free = memory.predict(QWEN, changed(PLAN, batch_size=64)).total
    assert fitting.largest_fitting(QWEN, PLAN, free) == "batch_size 64"
    beside = memory.predict(QWEN, PLAN, vllm_on=80 * memory.GIB)
    assert beside.generation == 0 and beside.vllm > 30 * memory.GIB


@pytest.mark.parametrize(
    "used, reserved, other, share, expected",
    [
        (0, 0, 0, 1.0, (80, 80)),
        (10, 15, 0, 1.0, (70, 80)),  # what the allocator holds without using it is free
        (10, 15, 20, 1.0, (50, 80)),  # another process has 20
        (0, 0, 0, 0.3, (24, 24)),
        (10, 15, 0, 0.3, (14, 24)),
        (0, 0, 70, 0.3, (10, 24)),  # less is left than the cap
    ],
)
def test_what_is_free_keeps_to_a_cap(used, reserved, other, share, expected, monkeypatch):
    """A stand-in for a GPU of 80 bytes."""
    import torch

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (80 - reserved - other, 80))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: reserved)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: used)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda: share)
    assert fitting.of_gpu() == expected


def test_a_source_is_refused_where_there_is_a_gpu_and_one_of_no_known_kind_may_be_tried(monkeypatch, capsys):
    import torch

    source = models.resolve("one_wording")
    fitting.refuse_on_this_gpu("Training it", source, RUN, vllm=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(fitting, "of_gpu", lambda: (2**28, 2**34))
    with pytest.raises(UsageError, match="Training it is predicted to take .* but 0.2 GiB"):
        fitting.refuse_on_this_gpu("Training it", source, RUN, vllm=False)
    monkeypatch.setattr(memory, "config_of", lambda _: {"model_type": "gemma3"})
    fitting.refuse_on_this_gpu("Training it", source, RUN, vllm=False)
    assert "Whether one_wording fits cannot be told: it is none of llama" in capsys.readouterr().out
