"""Models with random weights in the architectures of larger ones, and a tokenizer that reads any text, byte by byte."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.bench.step import SMOLLM2

CHATML = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
SPECIAL = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


def tokenizer(size: int, template: str = CHATML) -> PreTrainedTokenizerFast:
    """A token per byte, the special ones, and unused ones up to `size`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, chat_template=template, **SPECIAL)
    fast.add_tokens([f"<unused{number}>" for number in range(size - len(fast))])
    return fast


def save(folder: Path, config: dict) -> Path:
    """A folder in Hugging Face format with random weights of a configuration, and a tokenizer of its size."""
    reader = tokenizer(config["vocab_size"])
    ids = {f"{kind}_token_id": getattr(reader, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config | ids), dtype=torch.bfloat16)
    made.generation_config.eos_token_id = reader.eos_token_id
    made.save_pretrained(folder)
    reader.save_pretrained(folder)
    return folder


def smollm2(folder: Path) -> Path:
    """SmolLM2-135M's shape with random weights."""
    return save(folder, SMOLLM2)
