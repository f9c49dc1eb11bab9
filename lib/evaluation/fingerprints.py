"""What an evaluation was made of, and the refusal to compare what was made differently.

Prompts, sampler, grader and precision must be the same for two results to be compared; the model is what differs between them. All
but the grader decide whether samples that are there may be kept. In a result they are `fingerprint_prompts` and so on: hashes of
16 hexadecimal digits, or the precision in words."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from lib.data.prompts import Problem
from lib.models import loading
from lib.models.sources import Source
from lib.storage import digests, files
from lib.storage.errors import UsageError

COMPARED = ("prompts", "sampler", "grader", "precision")


def of_prompts(problems: Iterable[Problem]) -> str:
    """Of the questions in their order: identifier, text, gold answer, and the example before them if there is one. How a model's
    template wraps them is the model's."""
    return digest([[p.id, p.prompt, p.gold, *(p.example or ())] for p in problems])


def of_precision(load_in_4bit: bool) -> str:
    """In which numbers a model's weights are stored and computed with, such as `nf4 float32`."""
    compute = "bfloat16" if loading.gpu_is_there() else "float32"
    return f"nf4 {compute}" if load_in_4bit else compute


def of_model(source: Source, load_in_4bit: bool, adapter: Path | None) -> str:
    """Of a model as it is loaded: weights (or the hub's commit), precision, tokenizer and template, adapter."""
    parts: list[object] = [source.revision, source.fingerprint, load_in_4bit]
    if source.fingerprint:  # a local folder; a hub's commit stands for all of its files
        folder = Path(source.path)
        kinds = ("*token*", "*.jinja", "config.json", "vocab.json", "merges.txt")
        parts += [digests.of(path)[:16] for kind in kinds for path in sorted(folder.glob(kind))]
    if adapter is not None:
        config = files.read_json(adapter / "adapter_config.json")
        config = {k: sorted(v) if isinstance(v, list) else v for k, v in config.items()}  # PEFT writes sets in any order
        parts += [digest(config), digests.of(min(adapter.glob("adapter_model.*")))[:16]]
    return digest(parts)


def refuse_unlike(results: Mapping[str, Mapping[str, object]], parts: Iterable[str] = COMPARED) -> None:
    """Raises UsageError if results, by the name of their run, do not have the same prompts, sampler, grader and precision, or other
    `parts`. A result without fingerprints, from before there were any, is like none that has them."""
    for part in parts:
        found = pd.Series({name: result.get(f"fingerprint_{part}") for name, result in results.items()}).fillna("unknown")
        unlike = found[found != found.iloc[0]]
        if len(unlike):
            raise UsageError(
                f"{found.index[0]} and {unlike.index[0]} cannot be compared, because their {part} differ "
                f"({found.iloc[0]} and {unlike.iloc[0]}): evaluate both again in the same way."
            )


def digest(value: object) -> str:
    """The fingerprint of anything that JSON can hold."""
    return digests.of_value(value)[:16]
