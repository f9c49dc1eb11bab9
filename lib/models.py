"""Loading a policy: a base in 4 bits by Unsloth, with a fresh LoRA adapter, a trained one, or none.

One of the three modules that know Unsloth. Names are checked, with advice, before anything heavy is imported.
"""

import hashlib
import importlib.util
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from lib import tiny
from lib.runs import UsageError

OFFLINE_CHOICE = f"the models of the kit need no hub: {', '.join(tiny.BASES)}"
LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Source:
    """Where a model is loaded from: a local folder, or a hub id.

    `revision` is the hub's commit, when it is known; `fingerprint` tells local weights apart.
    """

    name: str
    path: str
    revision: str | None = None
    fingerprint: str | None = None


def resolve(model: str) -> Source:
    """Finds a model: a base of the kit by name, a local folder, or a hub id. Loads nothing.

    Raises UsageError when there is no such model, or when the hub would have to be asked and cannot be reached.
    """
    if model in tiny.BASES:
        return Source(model, str(tiny.BASES[model]), fingerprint=_fingerprint(tiny.BASES[model]))
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"The folder {folder} holds no model (no config.json): give the folder that has it.")
        return Source(model, str(folder), fingerprint=_fingerprint(folder))
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise UsageError(
            f"There is no model {model!r}: give a folder, or a hub id such as owner/name; {OFFLINE_CHOICE}."
        )
    return _resolve_on_hub(model)


def _fingerprint(folder: Path) -> str:
    """A hash of the names, sizes and first mebibytes of a folder's weight files."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(f"{path.name} {path.stat().st_size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(2**20))
    return digest.hexdigest()[:16]


def _resolve_on_hub(model: str) -> Source:
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    cached = try_to_load_from_cache(model, "config.json")
    if isinstance(cached, str):
        return Source(model, model, Path(cached).parent.name)
    try:
        return Source(model, model, HfApi().model_info(model, timeout=10).sha)
    except GatedRepoError:
        raise UsageError(
            f"{model} is gated: accept its licence on its hub page and log in with `hf auth login`."
        ) from None
    except RepositoryNotFoundError:
        raise UsageError(
            f"There is no model {model!r} on the hub (or it is private): check the name; {OFFLINE_CHOICE}."
        ) from None
    except Exception as error:  # whatever the network stack raises
        raise UsageError(
            f"{model} is not in the local cache and the hub cannot be reached ({type(error).__name__}): "
            f"connect and try again, or go on offline; {OFFLINE_CHOICE}."
        ) from None


def quiet() -> None:
    """Keeps notices of libraries about themselves out of notebooks; their errors stay."""
    for name in ("torch.utils._pytree", "torchao", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)


def import_unsloth():
    """Imports Unsloth, which must come before trl, transformers and peft do any work, without its chatter."""
    quiet()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import unsloth
    return unsloth


@dataclass(frozen=True)
class Vllm:
    """How vLLM is built into a model: its share of the GPU's memory, weights included, and the rank of the adapters it is for."""

    memory: float
    lora_rank: int


def gpu_is_there() -> bool:
    """Whether torch can use a GPU."""
    import torch

    return torch.cuda.is_available()


def vllm_is_there() -> bool:
    """Whether vLLM is installed and a GPU is there."""
    return gpu_is_there() and importlib.util.find_spec("vllm") is not None


def load(
    source: Source, max_tokens: int, load_in_4bit: bool = True, vllm: Vllm | None = None, backend: str = "unsloth"
):
    """(model, tokenizer) of a base without an adapter, quantised to NF4; float32 on a CPU, bfloat16 on a GPU.

    `backend` is unsloth, or plain: transformers and bitsandbytes alone, Unsloth not even imported. With `vllm` its engine is
    `model.vllm_engine` and shares the weights (Unsloth's `fast_inference`; not run yet). Raises UsageError if padding and EOS
    are the same token, since padding is found by its id and EOS would be lost.
    """
    if backend == "plain":
        model, tokenizer = _load_plain(source, load_in_4bit)
    else:
        model, tokenizer = _load_unsloth(source, max_tokens, load_in_4bit, vllm)
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in eos_token_ids(model, tokenizer):
        raise UsageError(f"{source.name} pads with its EOS token: set a different pad_token in its tokenizer first.")
    neutralise(model, tokenizer)
    return model, tokenizer


def _dtype():
    import torch

    return torch.bfloat16 if gpu_is_there() else torch.float32


def _load_unsloth(source: Source, max_tokens: int, load_in_4bit: bool, vllm: Vllm | None):
    path, revision, options = source.path, source.revision, {}
    if vllm is not None:
        options = {"fast_inference": True, "gpu_memory_utilization": vllm.memory, "max_lora_rank": vllm.lora_rank}
        path, revision = _downloaded(source), None  # fast_inference takes the default branch alone
    return import_unsloth().FastLanguageModel.from_pretrained(
        path, revision=revision, max_seq_length=max_tokens, load_in_4bit=load_in_4bit, dtype=_dtype(), **options
    )


def _load_plain(source: Source, load_in_4bit: bool):
    quiet()
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    nf4 = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=_dtype(),
    )
    model = AutoModelForCausalLM.from_pretrained(
        source.path,
        revision=source.revision,
        dtype=_dtype(),
        quantization_config=nf4 if load_in_4bit else None,
        device_map={"": "cuda:0" if gpu_is_there() else "cpu"},
    )
    return model, AutoTokenizer.from_pretrained(source.path, revision=source.revision)


def _downloaded(source: Source) -> str:
    """The local folder of a model at its revision."""
    if Path(source.path).is_dir():
        return source.path
    from huggingface_hub import snapshot_download

    return snapshot_download(source.path, revision=source.revision)


def neutralise(model, tokenizer) -> None:
    """Empties a model's own generation config but for its special tokens: what is not set explicitly would come from it."""
    from transformers import GenerationConfig

    ends = sorted(eos_token_ids(model, tokenizer))
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id
    )


def add_adapter(model, rank: int, alpha: int, seed: int, backend: str = "unsloth"):
    """A fresh LoRA adapter on every linear layer; it changes nothing until it is trained (B = 0). `backend` as it was loaded."""
    if backend == "plain":
        import torch
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(seed)
        return get_peft_model(model, LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0, target_modules=LORA_TARGETS))
    return import_unsloth().FastLanguageModel.get_peft_model(
        model,
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0,
        bias="none",
        target_modules=LORA_TARGETS,
        use_gradient_checkpointing="unsloth" if next(model.parameters()).is_cuda else False,
        random_state=seed,
    )


def load_adapter(model, tokenizer, folder: Path):
    """Puts a trained adapter on a base, and checks that it took effect.

    Raises UsageError if the adapter is not there, and RuntimeError if it has weights but changes no log-probability.
    """
    import torch
    from peft import PeftModel

    from lib.likelihood import sequence_scores

    if not (Path(folder) / "adapter_config.json").is_file():
        raise UsageError(f"There is no adapter in {folder}: train the run first.")
    model = PeftModel.from_pretrained(model, folder)
    model.eval()
    trained = any(torch.any(p != 0) for n, p in model.named_parameters() if "lora_B" in n)
    probe = [[tokenizer.bos_token_id or 0, *range(3, 20)]], [[*range(6, 16)]]
    policy = sequence_scores(model, *probe, tokenizer.pad_token_id)
    reference = sequence_scores(model, *probe, tokenizer.pad_token_id, reference=True)
    if trained and policy.logprob[0] == reference.logprob[0]:
        raise RuntimeError(f"The adapter in {folder} was loaded but changes nothing: its layers do not fit this base.")
    return model


def eos_token_ids(model, tokenizer) -> set[int]:
    """Every id that ends a completion: the generation config's, of which some models have two, and the tokenizer's."""
    configured = model.generation_config.eos_token_id
    ids = set(configured if isinstance(configured, list) else [configured])
    return (ids | {tokenizer.eos_token_id}) - {None}


def fitting(tokenizer, problems: list, most: int) -> tuple[list, int]:
    """(the problems whose prompt has at most `most` tokens, how many have more)."""
    lengths = [len(ids) for ids in prompt_ids(tokenizer, [p.messages for p in problems])]
    kept = [problem for problem, length in zip(problems, lengths, strict=True) if length <= most]
    return kept, len(problems) - len(kept)


def prompt_ids(tokenizer, messages: list[list[dict[str, str]]]) -> list[list[int]]:
    """Token ids of conversations with the opening of the answer appended, by the model's own chat template."""
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)[
        "input_ids"
    ]
