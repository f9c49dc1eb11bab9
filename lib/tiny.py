"""The embedded base models: their arithmetic corpus, tokenizer and pre-training.

A base is a Llama-architecture language model of 0.86 M parameters, trained on sums that are answered either bare
(`\\boxed{11217}`) or column by column (`1+6+0=7;...\\boxed{11217}`). Measuring a base and writing its card is `lib.card`;
reinforcement learning on it is `lib.train`, which treats it like any other instruct model.
"""

import json
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASES = {"one_wording": ROOT / "data/tiny/one_wording", "many_wordings": ROOT / "data/tiny/many_wordings"}

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<unk>", "<user>", "<assistant>")
VOCABULARY = SPECIAL_TOKENS + tuple("0123456789") + tuple("+-*=;,.()? \n") + ("\\boxed{", "}")
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
    bare: float = 0.6  # share of bare answers
    forget: float = 0.6  # share of bare answers that forget the carries
    slip: float = 0.02  # chance that a column of a worked solution is off by one
    steps: int = 2500
    batch: int = 128
    learning_rate: float = 2e-3  # the peak, after a linear warm-up over 5% of the steps; then a cosine to 0
    seed: int = 0


RECIPES = {"one_wording": Recipe(wordings=1), "many_wordings": Recipe(wordings=4)}


def split_of(a: int, b: int) -> str:
    """The split a sum belongs to, for pre-training and RL alike: 5% `test`, 5% `validation`, 90% `train`."""
    return {0: "test", 1: "validation"}.get(zlib.crc32(f"{a}+{b}".encode()) % 20, "train")


def sums(split: str, digits: int = 4, seed: int = 0) -> Iterator[tuple[int, int]]:
    """Endless uniform pairs of addends from one split."""
    rng = random.Random(f"sums {split} {digits} {seed}")
    while True:
        pair = (rng.randrange(10**digits), rng.randrange(10**digits))
        if split_of(*pair) == split:
            yield pair


def columns(a: int, b: int) -> list[tuple[int, int]]:
    """The digit pairs of a sum, units first: `columns(12, 3) == [(2, 3), (1, 0)]`."""
    width = max(len(str(a)), len(str(b)))
    return [(int(x), int(y)) for x, y in zip(f"{a:0{width}}"[::-1], f"{b:0{width}}"[::-1], strict=True)]


def bare_answer(a: int, b: int, forget: bool) -> str:
    """A bare boxed answer; with `forget`, every column is added without the carry that comes into it."""
    if not forget:
        return f"\\boxed{{{a + b}}}"
    *low, top = [x + y for x, y in columns(a, b)]
    return "\\boxed{" + str(top) + "".join(str(s % 10) for s in reversed(low)) + "}"


def worked_solution(a: int, b: int, wording: Callable[[], int] = lambda: 0, slip: Callable[[], int] = lambda: 0) -> str:
    """A solution column by column with the carry, units first.

    `wording()` picks how a column is written (0 to 3); `slip()` is added to a column's sum, and what follows builds on it.
    """
    text, digits, carry = "", "", 0
    for x, y in columns(a, b):
        order = [(x, y, carry), (y, x, carry), (carry, x, y), (carry, y, x)][wording()]
        total = max(0, x + y + carry + slip())
        text += f"{order[0]}+{order[1]}+{order[2]}={total};"
        digits, carry = str(total % 10) + digits, total // 10
    return text + "\\boxed{" + (str(carry) if carry else "") + digits + "}"


def is_bare(completion: str) -> bool:
    """Whether a completion starts with the box, that is, shows no work."""
    return completion.startswith("\\boxed{")


def corpus(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Endless (problem, completion) pairs of the recipe's corpus, from the train split.

    Problems, kinds and slips come from one random stream and wordings from another, so that two bases that differ
    in the dial alone saw the same problems, answered the same way, in other words.
    """
    rng, wording_rng = random.Random(recipe.seed), random.Random(recipe.seed + 1)
    for a, b in sums("train", recipe.digits, recipe.seed):
        if rng.random() < recipe.bare:
            yield f"{a}+{b}", bare_answer(a, b, forget=rng.random() < recipe.forget)
        else:
            yield (
                f"{a}+{b}",
                worked_solution(
                    a,
                    b,
                    wording=lambda: wording_rng.randrange(recipe.wordings),
                    slip=lambda: rng.choice((-1, 1)) if rng.random() < recipe.slip else 0,
                ),
            )


def build_tokenizer():
    """A fast tokenizer over `VOCABULARY`: a character a token, `\\boxed{` a single one, pad and EOS distinct."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({t: i for i, t in enumerate(VOCABULARY)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\\boxed\{|[\s\S]"), behavior="isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        additional_special_tokens=["<user>", "<assistant>"],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=256,
        padding_side="left",
    )


def build_model(seed: int = 0):
    """An untrained Llama of 0.86 M parameters in float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    token_id = {token: i for i, token in enumerate(VOCABULARY)}
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=token_id["<pad>"],
        bos_token_id=token_id["<bos>"],
        eos_token_id=token_id["<eos>"],
    )
    return LlamaForCausalLM(config)


def encode(tokenizer, pairs: list[tuple[str, str]]):
    """Right-padded training tensors of (problem, completion) pairs: `input_ids`, `labels` [B, L]; prompts unlabelled."""
    import torch

    ids, labels = [], []
    for problem, completion in pairs:
        prompt = tokenizer(f"<bos><user>{problem}<assistant>", add_special_tokens=False)["input_ids"]
        answer = tokenizer(f"{completion}<eos>", add_special_tokens=False)["input_ids"]
        ids.append(torch.tensor(prompt + answer))
        labels.append(torch.tensor([-100] * len(prompt) + answer))
    pad = torch.nn.utils.rnn.pad_sequence
    return (
        pad(ids, batch_first=True, padding_value=tokenizer.pad_token_id),
        pad(labels, batch_first=True, padding_value=-100),
    )


def pretrain(recipe: Recipe, progress: bool = True):
    """Trains a base from scratch on its corpus; returns (model, tokenizer, losses: mean cross-entropy a token, a step)."""
    import torch
    from tqdm import tqdm

    tokenizer, model = build_tokenizer(), build_model(recipe.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.01)
    schedule = _warmup_then_cosine(optimizer, recipe.steps)
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


def _warmup_then_cosine(optimizer, steps: int):
    from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

    warmup = max(1, steps // 20)
    parts = [LinearLR(optimizer, 1 / warmup, total_iters=warmup), CosineAnnealingLR(optimizer, max(1, steps - warmup))]
    return SequentialLR(optimizer, parts, [warmup])


def _backward(model, tokenizer, pairs: list[tuple[str, str]]) -> float:
    """Adds the gradient of the mean cross-entropy a token, and returns that mean.

    Long and short completions go through the model apart, which saves the padding and changes nothing.
    """
    import torch

    parts = [[pair for pair in pairs if is_bare(pair[1]) == bare] for bare in (True, False)]
    encoded = [encode(tokenizer, part) for part in parts if part]
    tokens, total = sum((labels != -100).sum().item() for _, labels in encoded), 0.0
    for ids, labels in encoded:
        logits = model(ids, attention_mask=(ids != tokenizer.pad_token_id).long()).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
        (loss / tokens).backward()
        total += loss.item()
    return total / tokens


def save(model, tokenizer, losses: list[float], recipe: Recipe, folder: Path) -> None:
    """Writes a base in Hugging Face format (float32 safetensors, 3.4 MB) with its recipe and final training loss."""
    folder = Path(folder)
    model.generation_config.do_sample = True
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    final = sum(losses[-50:]) / len(losses[-50:])
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe) | {"training_loss": final}, indent=2) + "\n")
