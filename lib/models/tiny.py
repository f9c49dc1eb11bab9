"""The embedded base models: their arithmetic corpus, tokenizer and pre-training.

A base is a Llama of 0.86 M parameters, trained on sums that are answered either at once or column by column
(`lib.data.arithmetic`). Measuring a base and writing its card is `lib.reports.card`."""

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lib.data.arithmetic import direct_answer, sums, worked_solution
from lib.models.tokens import Model, Tokenizer, padded
from lib.rewards.verifier import is_direct
from lib.storage import files
from lib.storage.folders import ROOT

BASES = {"one_wording": ROOT / "data/tiny/one_wording", "many_wordings": ROOT / "data/tiny/many_wordings"}

VOCABULARY = ("<pad>", "<bos>", "<eos>", "<unk>", "<user>", "<assistant>", *"0123456789+-*=;,.()? \n", "\\boxed{", "}")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<assistant>{{ message['content'] }}{{ eos_token }}"
    "{% else %}<user>{{ message['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@dataclass(frozen=True)
class Recipe:
    """How a base was made. `wordings` is the one dial between the two bases; all shares are probabilities."""

    wordings: int = 1  # in how many ways a column may be written: 1 to 4
    digits: int = 4  # addends are uniform in 0 .. 10**digits - 1
    direct_share: float = 0.6  # share of direct answers
    forget: float = 0.6  # share of direct answers that forget the carries
    slip: float = 0.02  # chance that a column of a worked solution is off by one
    steps: int = 2500
    batch: int = 128
    learning_rate: float = 2e-3  # the peak, after a linear warm-up over 5% of the steps; then a cosine to 0
    seed: int = 0


RECIPES = {"one_wording": Recipe(wordings=1), "many_wordings": Recipe(wordings=4)}


def corpus(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Endless (problem, completion) pairs of the recipe's corpus, from the train split. Wordings have a random stream of their own,
    so that bases that differ in the dial alone saw the same answers in other words."""
    rng = random.Random(recipe.seed)
    wording = partial(random.Random(recipe.seed + 1).randrange, recipe.wordings)

    def slip() -> int:
        return rng.choice((-1, 1)) if rng.random() < recipe.slip else 0

    for a, b in sums("train", recipe.digits, recipe.seed):
        if rng.random() < recipe.direct_share:
            yield f"{a}+{b}", direct_answer(a, b, forget=rng.random() < recipe.forget)
        else:
            yield f"{a}+{b}", worked_solution(a, b, wording, slip)


def build_tokenizer() -> Tokenizer:
    """A fast tokenizer over `VOCABULARY`: a character a token, `\\boxed{` a single one, pad and EOS distinct."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({t: i for i, t in enumerate(VOCABULARY)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\\boxed\{|[\s\S]"), behavior="isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **{f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos", "unk")},
        additional_special_tokens=["<user>", "<assistant>"],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=256,
        padding_side="left",
    )


def build_model(seed: int = 0) -> Model:
    """An untrained Llama of 0.86 M parameters in float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=VOCABULARY.index("<pad>"),
        bos_token_id=VOCABULARY.index("<bos>"),
        eos_token_id=VOCABULARY.index("<eos>"),
    )
    return LlamaForCausalLM(config)


def encode(tokenizer: Tokenizer, pairs: list[tuple[str, str]]) -> tuple[Any, Any]:
    """Right-padded training tensors of (problem, completion) pairs: `input_ids`, `labels` [B, L]; prompts unlabelled."""
    ids, labels = [], []
    for problem, completion in pairs:
        prompt = tokenizer(f"<bos><user>{problem}<assistant>", add_special_tokens=False)["input_ids"]
        answer = tokenizer(f"{completion}<eos>", add_special_tokens=False)["input_ids"]
        ids.append(prompt + answer)
        labels.append([-100] * len(prompt) + answer)
    return padded(ids, tokenizer.pad_token_id, "right")[0], padded(labels, -100, "right")[0]


def pretrain(recipe: Recipe, progress: bool = True) -> tuple[Model, Tokenizer, list[float]]:
    """Trains a base from scratch on its corpus; returns (model, tokenizer, losses: mean cross-entropy a token, a step)."""
    import torch
    from torch.optim import lr_scheduler
    from tqdm import tqdm

    tokenizer, model = build_tokenizer(), build_model(recipe.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.01)
    warmup = max(1, recipe.steps // 20)
    rise = lr_scheduler.LinearLR(optimizer, 1 / warmup, total_iters=warmup)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, max(1, recipe.steps - warmup))
    schedule = lr_scheduler.SequentialLR(optimizer, [rise, fall], [warmup])
    examples, losses = corpus(recipe), []
    model.train()
    for _ in (bar := tqdm(range(recipe.steps), desc="pre-training", disable=not progress)):
        losses.append(_backward(model, tokenizer, [next(examples) for _ in range(recipe.batch)]))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        bar.set_postfix({"loss": f"{losses[-1]:.3f}"}, refresh=False)
    return model.eval(), tokenizer, losses


def _backward(model: Model, tokenizer: Tokenizer, pairs: list[tuple[str, str]]) -> float:
    """Adds the gradient of the mean cross-entropy a token, and returns that mean. Long and short completions go through the model
    apart, which saves the padding and changes nothing."""
    import torch

    parts = [[pair for pair in pairs if is_direct(pair[1]) == direct] for direct in (True, False)]
    encoded = [encode(tokenizer, part) for part in parts if part]
    tokens, total = sum((labels != -100).sum().item() for _, labels in encoded), 0.0
    for ids, labels in encoded:
        logits = model(ids, attention_mask=(ids != tokenizer.pad_token_id).long()).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
        (loss / tokens).backward()
        total += loss.item()
    return total / tokens


def save(model: Model, tokenizer: Tokenizer, losses: list[float], recipe: Recipe, folder: Path) -> None:
    """Writes a base in Hugging Face format (float32 safetensors, 3.4 MB) with its recipe and the loss of its last 50 steps."""
    model.generation_config.do_sample = True
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    files.write_json(folder / "recipe.json", asdict(recipe) | {"training_loss": sum(losses[-50:]) / len(losses[-50:])})
