"""Models with random weights in the architectures of larger ones, and tokenizers of their kind that read any text, byte by byte.

The chat templates are ours. They have what has caused trouble: Llama's beginning-of-text token inside the template, a default
system turn, several tokens that end a turn, and a padding token of its own."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.bench.step import SMOLLM2

TURN = "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
TURNS = "{% for message in messages %}" + TURN + "{% endfor %}"
OPENING = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
HELPFUL = "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}"
HEADER = "{{ '<|start_header_id|>' + ROLE + '<|end_header_id|>\n\n' }}"
LLAMA_TURN = HEADER.replace("ROLE", "message['role']") + "{{ message['content'] + '<|eot_id|>' }}"
LLAMA = "{{ '<|begin_of_text|>' }}{% for message in messages %}" + LLAMA_TURN + "{% endfor %}"
LLAMA += "{% if add_generation_prompt %}" + HEADER.replace("ROLE", "'assistant'") + "{% endif %}"
SIZE = {"vocab_size": 320, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZE |= {"num_key_value_heads": 2, "max_position_embeddings": 1024, "tie_word_embeddings": True}


@dataclass(frozen=True)
class Toy:
    """A model's configuration, its template, and its special tokens; `ends` are those that end a completion beside EOS."""

    config: dict
    template: str
    eos: str = "<|im_end|>"
    pad: str = "<|endoftext|>"
    bos: str | None = None
    ends: tuple[str, ...] = ()
    others: tuple[str, ...] = ("<|im_start|>",)

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """A token per byte, the special ones, and unused ones up to the size of the vocabulary."""
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        made = Tokenizer(models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[]))
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        special = {"eos_token": self.eos, "pad_token": self.pad} | ({"bos_token": self.bos} if self.bos else {})
        fast = PreTrainedTokenizerFast(tokenizer_object=made, chat_template=self.template, **special)
        fast.add_special_tokens({"extra_special_tokens": [*self.others, *self.ends]})
        fast.add_tokens([f"<unused{number}>" for number in range(self.config["vocab_size"] - len(fast))])
        return fast

    def save(self, folder: Path) -> Path:
        """A folder in Hugging Face format with random weights."""
        reader = self.tokenizer()
        ends = [reader.convert_tokens_to_ids(name) for name in (self.eos, *self.ends)]
        ids = {"bos_token_id": reader.bos_token_id, "eos_token_id": ends, "pad_token_id": reader.pad_token_id}
        torch.manual_seed(0)
        made = AutoModelForCausalLM.from_config(AutoConfig.for_model(**self.config | ids), dtype=torch.bfloat16)
        for name, value in ids.items():
            setattr(made.generation_config, name, value)
        made.save_pretrained(folder)
        reader.save_pretrained(folder)
        return folder


SMALL_LLAMA = Toy(
    SIZE | {"model_type": "llama", "head_dim": 16},
    LLAMA,
    eos="<|eot_id|>",
    pad="<|finetune_right_pad_id|>",
    bos="<|begin_of_text|>",
    ends=("<|end_of_text|>", "<|eom_id|>"),
    others=("<|start_header_id|>", "<|end_header_id|>"),
)
QWEN2 = Toy(SIZE | {"model_type": "qwen2"}, HELPFUL + TURNS + OPENING, pad="<|pad|>", ends=("<|endoftext|>",))
QWEN3 = Toy(SIZE | {"model_type": "qwen3", "head_dim": 32}, TURNS + OPENING, pad="<|pad|>", ends=("<|endoftext|>",))
ARCHITECTURES = {"Llama-3.2": SMALL_LLAMA, "Qwen2": QWEN2, "Qwen3": QWEN3}
SMOLLM2_SHAPE = Toy(SMOLLM2, TURNS + OPENING)
