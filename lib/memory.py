"""GPU memory that a training run will take, predicted from a model's configuration and the run's settings, part by part.

Parameters, NF4 blocks, adapter, KV cache and PEFT's saved activations are exact formulas, tested against real objects. What
Unsloth's fused layers and both libraries' tiled losses keep is read from their sources, and what CUDA itself takes is assumed:
none of it is measured yet. Generation, likelihood and loss follow one another, so that the peak is what stays plus the largest of
the three. Nothing is loaded.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lib import runs
from lib.runs import UsageError

GIB = 2**30
CONTEXT = 0.8 * GIB  # assumed: CUDA's own, kernels, the allocator's slack
POSITIONS = 512  # positions at a time whose logits a scoring pass turns into float32 log-probabilities
TRAINING_LOGIT = 2 + 2 * 4  # bytes: a bfloat16 logit and the two float32 copies that `generate` makes to sample
EVALUATION_LOGIT = 2 + 4 + 4 * 8  # the same, with one float32 copy and the four float64 ones of lib.sample
ADAPTER = 64  # the largest rank of an adapter that is evaluated
KINDS = ("llama", "qwen2", "qwen3")  # types of models whose memory can be predicted
Config = Mapping[str, Any]  # of a model: the values of its config.json

_QWEN = {"vocab_size": 151_936, "num_hidden_layers": 36, "tie_word_embeddings": True, "max_position_embeddings": 32_768}
SHAPES: dict[str, dict] = {  # from the models' published config.json
    "Qwen/Qwen2.5-3B-Instruct": _QWEN
    | {"model_type": "qwen2", "hidden_size": 2048, "intermediate_size": 11_008}
    | {"num_attention_heads": 16, "num_key_value_heads": 2},
    "unsloth/Llama-3.2-3B-Instruct": {
        "model_type": "llama",
        "vocab_size": 128_256,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": True,
        "max_position_embeddings": 131_072,
    },
    "Qwen/Qwen3-4B-Instruct-2507": _QWEN
    | {"model_type": "qwen3", "hidden_size": 2560, "intermediate_size": 9728, "head_dim": 128}
    | {"num_attention_heads": 32, "num_key_value_heads": 8},
}
SHAPES["meta-llama/Llama-3.2-3B-Instruct"] = SHAPES["unsloth/Llama-3.2-3B-Instruct"]


class Prediction(NamedTuple):
    """Bytes: what stays (`context`, `weights` with the largest one dequantised, `adapter` with its gradients and AdamW's state,
    `vllm` beyond the weights that it shares), and three phases, each at its peak."""

    context: float
    weights: float
    adapter: float
    vllm: float
    generation: float
    likelihood: float
    loss: float

    @property
    def stays(self) -> float:
        """What is there in every phase, in bytes."""
        return self.context + self.weights + self.adapter + self.vllm

    @property
    def total(self) -> float:
        """The predicted peak in bytes."""
        return self.stays + max(self.generation, self.likelihood, self.loss)

    def describe(self) -> str:
        """One line, in GiB."""
        parts = ", ".join(f"{name} {value / GIB:.1f}" for name, value in self._asdict().items())
        return f"{self.total / GIB:.1f} GiB at the peak ({parts})"


class Shape(NamedTuple):
    """The sizes of a decoder that memory depends on; widths are numbers of features."""

    kind: str
    layers: int
    hidden: int
    inner: int
    heads: int
    query: int  # heads × head size
    key: int  # key-value heads × head size
    head: int
    vocabulary: int
    tied: bool


def shape(config: Config) -> Shape:
    """The sizes in a configuration; raises UsageError for an architecture that is none of Llama's kind."""
    kind = str(config.get("model_type"))
    if kind not in KINDS:
        raise UsageError(f"The memory of a model of type {kind!r} cannot be predicted, only of {', '.join(KINDS)}.")
    heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
    head = int(config.get("head_dim") or hidden // heads)
    key = int(config.get("num_key_value_heads") or heads) * head
    layers, inner, vocabulary = (int(config[k]) for k in ("num_hidden_layers", "intermediate_size", "vocab_size"))
    tied = bool(config.get("tie_word_embeddings", False))
    return Shape(kind, layers, hidden, inner, heads, heads * head, key, head, vocabulary, tied)


def linears(s: Shape) -> list[tuple[int, int]]:
    """(inputs, outputs) of each linear layer of one decoder layer: q, k, v, o, gate, up, down."""
    attention = [(s.hidden, s.query), (s.hidden, s.key), (s.hidden, s.key), (s.query, s.hidden)]
    return [*attention, (s.hidden, s.inner), (s.hidden, s.inner), (s.inner, s.hidden)]


def parameters(s: Shape) -> tuple[int, int]:
    """(parameters of the decoder layers' linear layers, all others: embeddings, head, norms, biases)."""
    biases = {"qwen2": s.query + 2 * s.key, "qwen3": 2 * s.head}.get(s.kind, 0)  # qwen3 has norms of queries and keys
    others = (1 if s.tied else 2) * s.vocabulary * s.hidden + s.layers * (2 * s.hidden + biases) + s.hidden
    return s.layers * sum(a * b for a, b in linears(s)), others


def weight_bytes(s: Shape, in_4bit: bool) -> float:
    """Bytes of the weights: bfloat16, or NF4 with double quantisation (Dettmers et al. 2023, arXiv 2305.14314) in linear layers.

    NF4 is 4 bits a parameter, a byte for the scale of 64 of them, and 4 bytes for 256 such scales; 1 KiB a layer for tables.
    """
    linear, others = parameters(s)
    tables = 1088 * len(linears(s)) * s.layers
    return (linear * (0.5 + 1 / 64 + 4 / (64 * 256)) + tables if in_4bit else 2 * linear) + 2 * others


def adapter_parameters(s: Shape, rank: int) -> int:
    """Parameters of a LoRA adapter on every linear layer: rank × (inputs + outputs)."""
    return s.layers * rank * sum(a + b for a, b in linears(s))


def cache_bytes(s: Shape, tokens: int) -> int:
    """Bytes of the keys and values of so many tokens, in bfloat16."""
    return 2 * 2 * s.key * s.layers * tokens


def activation_bytes(s: Shape, rank: int, backend: str = "unsloth") -> int:
    """Bytes a token that one decoder layer keeps for its backward pass, in bfloat16 autocast.

    Attention keeps q, k, v, its output and a number a head. PEFT (`plain`): float32 copies for the norms, the input of each
    linear layer and what its adapter makes of it, and three inner activations of the gated feed-forward. Unsloth: input and
    output of the norms, and two inner activations; the rest is computed again.
    """
    attention = 2 * (2 * s.query + 2 * s.key) + 4 * s.heads
    heads = s.query + s.key if s.kind == "qwen3" else 0  # what it norms besides
    if backend == "unsloth":
        return attention + 2 * (4 * s.hidden + heads) + 2 * 2 * s.inner
    norms = 4 * (2 * (s.hidden + 1) + heads + heads // s.head)
    return attention + norms + 2 * (5 * s.hidden + s.query + s.inner + 7 * rank) + 2 * 3 * s.inner


def head_bytes(s: Shape, rows: int, backend: str = "unsloth") -> float:
    """Bytes that the loss takes for the output layer on so many positions: hidden states, their gradient, a tile of logits.

    TRL's tile is 4,096 positions by 32,768 tokens in bfloat16. Unsloth's has all tokens, float32 logits and their gradient, of
    a power of two of positions: what makes it as large as the hidden states, or as 512 times 151,936 logits, up to 4,096.
    """
    if backend == "plain":
        return 2 * min(rows, 4096) * min(s.vocabulary, 32_768) + 8 * rows * s.hidden
    return 8 * tile_rows(rows, s.hidden, s.vocabulary) * s.vocabulary + 6 * rows * s.hidden


def tile_rows(rows: int, hidden: int, vocabulary: int) -> int:
    """The positions in a tile of Unsloth's loss; its logits take at most 2 GiB."""
    wanted = max(rows * hidden, 512 * 151_936) / vocabulary
    return min(rows, 4096, 2**31 // (4 * vocabulary), 2 ** int(math.log2(wanted)))


def generation_bytes(s: Shape, count: int, prompt: int, tokens: int, logit: int = TRAINING_LOGIT) -> float:
    """Bytes that it takes to generate so many completions at once, without weights: keys and values of all `tokens`, prompts of
    `prompt` tokens read in one pass, and one position's logits, each with its copies of `logit` bytes."""
    cache = cache_bytes(s, count * tokens) * (s.layers + 1) / s.layers  # a layer's is copied when it grows
    return cache + count * prompt * _forward_bytes(s) + count * s.vocabulary * logit


def likelihood_bytes(s: Shape, budget: int, tokens: int) -> float:
    """Bytes of a scoring pass of `budget` padded tokens, or of one sequence that is longer: logits, and at POSITIONS of them
    log-probabilities, their exponential and the product of both in float32."""
    scored = max(budget, tokens)
    return scored * (2 * s.vocabulary + _forward_bytes(s)) + min(POSITIONS, scored) * s.vocabulary * 3 * 4


def loss_bytes(s: Shape, settings) -> float:
    """Bytes of a forward and backward pass of `settings.micro_batch` completions at their full length."""
    tokens = settings.micro_batch * (settings.max_prompt_tokens + settings.max_completion_tokens)
    saved = activation_bytes(s, settings.lora_rank, settings.backend)
    if settings.backend == "plain":
        saved += 2 * s.hidden * s.layers  # each layer's input; Unsloth moves these to the host
    gradients = 2 * (2 * s.inner + 2 * s.hidden)  # in the feed-forward's backward pass
    return tokens * (saved + gradients) + head_bytes(
        s, settings.micro_batch * settings.max_completion_tokens, settings.backend
    )


def _forward_bytes(s: Shape) -> int:
    """Bytes a token of a layer without gradients."""
    return 2 * (4 * s.hidden + 3 * s.inner)


def predict(config: Config, settings, vllm_on: float = 0) -> Prediction:
    """The memory of a run of `lib.train.Settings`, or of an evaluation by a `lib.evaluate.Plan` (of 4-bit weights).

    Every completion is as long as it may be. Where vLLM samples, `vllm_on` is the GPU's memory in bytes, of which it takes
    `settings.vllm_memory` and keeps it.
    """
    s, training = shape(config), hasattr(settings, "micro_batch")
    in_4bit = settings.load_in_4bit if training else True
    weights = weight_bytes(s, in_4bit)
    layer = 2 * max(a * b for a, b in linears(s)) if in_4bit else 0  # one is dequantised to be used
    tokens = settings.max_prompt_tokens + settings.max_completion_tokens
    rank = settings.lora_rank if training else ADAPTER
    at_once, logit = (settings.at_once(), TRAINING_LOGIT) if training else (settings.batch_size, EVALUATION_LOGIT)
    return Prediction(
        context=CONTEXT,
        weights=weights + layer,
        adapter=(16 if training else 4) * adapter_parameters(s, rank),  # float32: weights, gradients, two moments
        vllm=max(0.0, settings.vllm_memory * vllm_on - weights),
        generation=0 if vllm_on else generation_bytes(s, at_once, settings.max_prompt_tokens, tokens, logit),
        likelihood=likelihood_bytes(s, settings.token_budget, tokens),
        loss=loss_bytes(s, settings) if training else 0,
    )


def config_of(source) -> Config:
    """The configuration of a model (`models.Source`): local, or fetched alone from the hub or its cache."""
    path = Path(source.path) / "config.json"
    if not path.is_file():
        from huggingface_hub import hf_hub_download

        path = Path(hf_hub_download(source.path, "config.json", revision=source.revision))
    return runs.read_json(path)
