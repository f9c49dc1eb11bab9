"""What an evaluation was made of, as four short hashes, and the refusal to compare what was measured differently.

Prompts, sampler and grader must be the same for two results to be compared; the model is what differs between them. All four
decide whether samples that are there may be kept.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from lib import verify
from lib.models import Source
from lib.problems import Problem
from lib.runs import ROOT, UsageError

COMPARED = ("prompts", "sampler", "grader")


class Fingerprints(NamedTuple):
    """Hashes of 16 hexadecimal digits; in a result file and a table they are the columns `fingerprint_prompts` …"""

    prompts: str
    sampler: str
    grader: str
    model: str

    def columns(self) -> dict[str, str]:
        """As columns of a result."""
        return {f"fingerprint_{name}": value for name, value in self._asdict().items()}


def of_prompts(problems: Iterable[Problem]) -> str:
    """Of the questions in their order: identifier, text and gold answer. How a model's template wraps them is the model's."""
    return _digest([[p.id, p.prompt, p.gold] for p in problems])


def of_sampler(**settings: object) -> str:
    """Of everything that decides what a sample is a sample of, and how many there are; not of batch sizes and seeds."""
    return _digest(settings)


def of_grader(module: str = "verify") -> str:
    """Of the source of `lib.verify`, of the library's modules that it imports, and of the packages that they grade with."""
    sources = {name: (ROOT / "lib" / f"{name}.py").read_text(encoding="utf-8") for name in sorted(_imported(module))}
    return _digest([sources, [metadata.version(package) for package in verify.PACKAGES]])


def of_model(source: Source, load_in_4bit: bool, adapter: Path | None) -> str:
    """Of a model as it is loaded: weights (or the hub's commit), precision, tokenizer and template, adapter."""
    parts = [source.revision, source.fingerprint, load_in_4bit]
    if source.fingerprint:  # a local folder; a hub's commit stands for all of its files
        parts += [_digest(path.read_bytes()) for path in sorted(Path(source.path).glob("*token*"))]
        parts += [_digest(path.read_bytes()) for path in sorted(Path(source.path).glob("*.jinja"))]
    if adapter is not None:
        config = json.loads((Path(adapter) / "adapter_config.json").read_text(encoding="utf-8"))
        config = {
            k: sorted(v) if isinstance(v, list) else v for k, v in config.items()
        }  # PEFT writes sets in any order
        parts += [_digest(config), _digest((Path(adapter) / _weights(adapter)).read_bytes())]
    return _digest(parts)


def refuse_unlike(results: Mapping[str, Mapping[str, object]]) -> None:
    """Raises UsageError if results, by the name of their run, do not have the same prompts, sampler and grader.

    A result without fingerprints, from before there were any, is like none that has them.
    """
    names = list(results)
    for part in COMPARED:
        found = {name: _given(results[name].get(f"fingerprint_{part}")) for name in names}
        other = next((name for name in names if found[name] != found[names[0]]), None)
        if other is not None:
            raise UsageError(
                f"{names[0]} and {other} cannot be compared, because their {part} differ "
                f"({found[names[0]]} and {found[other]}): evaluate both again in the same way."
            )


def _given(value: object) -> str:
    return value if isinstance(value, str) and value else "unknown"


def _weights(adapter: Path) -> str:
    return next(path.name for path in sorted(Path(adapter).glob("adapter_model.*")))


def _imported(module: str) -> set[str]:
    """The modules of the library that one of them needs, itself included, also where it imports them inside a function."""
    found, queue = set(), [module]
    while queue:
        name = queue.pop()
        if name in found or not (ROOT / "lib" / f"{name}.py").is_file():
            continue
        found.add(name)
        for node in ast.walk(ast.parse((ROOT / "lib" / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "lib":
                queue += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lib."):
                queue.append(node.module.split(".")[1])
    return found


def _digest(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True, default=str).encode()
    return hashlib.sha256(data).hexdigest()[:16]
