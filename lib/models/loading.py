"""Loading a policy: a base in 4 bits by Unsloth, with a fresh LoRA adapter, a trained one, or none."""

import contextlib
import importlib.util
import io
import logging
import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from lib.models import dense, sources
from lib.models.sources import Source
from lib.models.tokens import Model, Tokenizer, eos_token_ids
from lib.storage.errors import UsageError

LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def quiet() -> None:
    """Keeps notices of libraries about themselves out of notebooks; their errors stay."""
    for name in ("torch.utils._pytree", "torchao", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)


def import_unsloth() -> ModuleType:
    """Imports Unsloth, which must come before trl, transformers and peft do any work, without its chatter."""
    quiet()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
        import unsloth
    return unsloth


class Vllm(NamedTuple):
    """How vLLM is built into a model: its share of the GPU's memory, weights included, and the rank of the adapters it is for."""

    memory: float
    lora_rank: int


def gpu_is_there() -> bool:
    """Whether torch can use a GPU."""
    import torch

    return torch.cuda.is_available()


def compute_dtype() -> Any:
    """The numbers that a model computes with: bfloat16 on a GPU, float32 on a CPU."""
    import torch

    return torch.bfloat16 if gpu_is_there() else torch.float32


def vllm_is_there() -> bool:
    """Whether vLLM is installed and a GPU is there."""
    return gpu_is_there() and importlib.util.find_spec("vllm") is not None


def load(
    source: Source, max_tokens: int, load_in_4bit: bool = True, vllm: Vllm | None = None, backend: str = "unsloth"
) -> tuple[Model, Tokenizer]:
    """(model, tokenizer) of a base without an adapter, quantised to NF4; float32 on a CPU, where the rounded weights are held as
    numbers if they fit (`dense.dequantised`), bfloat16 on a GPU. `backend` plain is
    transformers and bitsandbytes alone, without Unsloth. With `vllm` its engine is `model.vllm_engine` and shares the weights (not
    run yet). Raises UsageError if padding and EOS are the same token: EOS would be lost."""
    dtype = compute_dtype()
    if backend == "plain":
        model, tokenizer = _load_plain(source, load_in_4bit, dtype)
    else:
        options: dict[str, Any] = {"model_name": source.path, "revision": source.revision}
        if vllm is not None:  # which takes a hub model's default branch, or a folder
            options = {"model_name": str(sources.folder_of(source)), "fast_inference": True}
            options |= {"gpu_memory_utilization": vllm.memory, "max_lora_rank": vllm.lora_rank}
        options |= {"max_seq_length": max_tokens, "load_in_4bit": load_in_4bit, "dtype": dtype}
        model, tokenizer = import_unsloth().FastLanguageModel.from_pretrained(**options)
    if load_in_4bit and not gpu_is_there():
        model = dense.dequantised(model)
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in eos_token_ids(model, tokenizer):
        raise UsageError(f"{source.name} pads with its EOS token: set a different pad_token in its tokenizer first.")
    neutralise(model, tokenizer)
    return model, tokenizer


def _load_plain(source: Source, load_in_4bit: bool, dtype: Any) -> tuple[Model, Tokenizer]:
    quiet()
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    nf4 = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": dtype}
    options = {"dtype": dtype, "device_map": {"": "cuda:0" if gpu_is_there() else "cpu"}}
    if load_in_4bit:
        options["quantization_config"] = BitsAndBytesConfig(load_in_4bit=True, **nf4)
    model = AutoModelForCausalLM.from_pretrained(source.path, revision=source.revision, **options)
    return model, AutoTokenizer.from_pretrained(source.path, revision=source.revision)


def load_tokenizer(source: Source) -> Tokenizer:
    """The tokenizer of a model alone."""
    quiet()
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source.path, revision=source.revision)


def load_as_stored(folder: Path) -> tuple[Model, Tokenizer]:
    """(model, tokenizer) of a base as it is stored, in float32, without an adapter."""
    quiet()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    neutralise(model, tokenizer)
    return model, tokenizer


def neutralise(model: Model, tokenizer: Tokenizer) -> None:
    """Empties a model's own generation config but for its special tokens: what is not set explicitly would come from it."""
    from transformers import GenerationConfig

    ends = sorted(eos_token_ids(model, tokenizer))
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id
    )


def add_adapter(model: Model, rank: int, alpha: int, seed: int, backend: str = "unsloth") -> Model:
    """A fresh LoRA adapter on every linear layer; it changes nothing until it is trained (B = 0). `backend` as it was loaded."""
    lora: dict[str, Any] = {"r": rank, "lora_alpha": alpha, "lora_dropout": 0, "bias": "none", "target_modules": LORA_TARGETS}
    if backend == "plain":
        import torch
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(seed)
        return get_peft_model(model, LoraConfig(**lora))
    checkpointing = "unsloth" if next(model.parameters()).is_cuda else False
    make = import_unsloth().FastLanguageModel.get_peft_model
    return make(model, use_gradient_checkpointing=checkpointing, random_state=seed, **lora)


def start_from(model: Model, folder: Path) -> None:
    """Gives a fresh adapter the weights of a trained one of the same shape, and keeps these: the reference is then the base with
    them (`scoring.scoring_mode`), not the base alone."""
    from peft import load_peft_weights, set_peft_model_state_dict

    found: Any = set_peft_model_state_dict(model, load_peft_weights(str(folder), device="cpu"))
    own = {name: parameter for name, parameter in model.named_parameters() if "lora_" in name}
    if found.unexpected_keys or set(own) & set(found.missing_keys):
        raise RuntimeError(f"The adapter in {folder} has other layers than this one.")
    model.start_weights = {name: parameter.detach().float().clone() for name, parameter in own.items()}


def load_adapter(model: Model, tokenizer: Tokenizer, folder: Path) -> Model:
    """Puts a trained adapter on a base, and checks that it took effect. Raises UsageError if the adapter is not there, and
    RuntimeError if it has weights but changes no log-probability."""
    import torch
    from peft import PeftModel

    from lib.models.scoring import sequence_scores

    if not (Path(folder) / "adapter_config.json").is_file():
        raise UsageError(f"There is no adapter in {folder}: train the run first.")
    model = PeftModel.from_pretrained(model, folder).eval()
    trained = any(torch.any(p != 0) for n, p in model.named_parameters() if "lora_B" in n)
    probe = [[tokenizer.bos_token_id or 0, *range(3, 20)]], [[*range(6, 16)]]
    policy, reference = (sequence_scores(model, *probe, tokenizer.pad_token_id, off).logprob for off in (False, True))
    if trained and policy == reference:
        raise RuntimeError(f"The adapter in {folder} was loaded but changes nothing: its layers do not fit this base.")
    return model
