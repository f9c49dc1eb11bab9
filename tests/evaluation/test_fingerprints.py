"""What an evaluation was made of, and what is not compared."""

import dataclasses
import json

import pytest

from lib.data.prompts import Problem
from lib.evaluation import fingerprints
from lib.models import sources
from lib.storage.errors import UsageError

ALL = {f"fingerprint_{part}": part[0] for part in ("prompts", "sampler", "grader", "model")}
ONE, TWO = Problem("1", "1+1", "2", "x"), Problem("2", "1+2", "3", "x")


def test_prompts_are_their_identifiers_texts_golds_and_order():
    same = fingerprints.of_prompts([ONE, TWO])
    assert same == fingerprints.of_prompts([dataclasses.replace(ONE, source="y"), TWO]) and len(same) == 16
    changes = [{"gold": "4"}, {"prompt": "2+1"}, {"example": ("1+3", "4")}, {"example": ("1+3", "5")}]
    others = [[TWO, ONE], [ONE], *([ONE, dataclasses.replace(TWO, **change)] for change in changes)]
    assert len({same, *map(fingerprints.of_prompts, others)}) == 7


def test_a_model_is_its_weights_precision_tokenizer_and_adapter(tmp_path):
    base = sources.Source("base", str(tmp_path), fingerprint="weights")
    (tmp_path / "tokenizer.json").write_text("one")
    first = fingerprints.of_model(base, True, None)
    found = {first, fingerprints.of_model(base, False, None)}
    found.add(fingerprints.of_model(dataclasses.replace(base, fingerprint="others"), True, None))
    for weights in (b"a", b"b"):
        (tmp_path / "adapter").mkdir(exist_ok=True)
        (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
        (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes(weights)
        found.add(fingerprints.of_model(base, True, tmp_path / "adapter"))
    (tmp_path / "tokenizer.json").write_text("two")
    found.add(fingerprints.of_model(base, True, None))
    assert len(found) == 6 and fingerprints.of_model(dataclasses.replace(base, name="other"), True, None) in found


def test_an_adapter_is_the_same_in_whatever_order_its_layers_were_written(tmp_path):
    """PEFT keeps the names of the adapted layers in a set, whose order changes from process to process."""
    (tmp_path / "adapter_model.safetensors").write_bytes(b"a")
    found = set()
    for layers in (["q", "k"], ["k", "q"], ["k", "v"]):
        (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "target_modules": layers}))
        found.add(fingerprints.of_model(sources.Source("base", str(tmp_path), "commit"), True, tmp_path))
    assert len(found) == 2


def test_two_precisions_are_not_compared():
    """A run that was trained without 4 bits was compared with a base in 4 bits."""
    names = [fingerprints.of_precision(in_4bit) for in_4bit in (True, False)]
    assert names == ["nf4 float32", "float32"]
    with pytest.raises(UsageError, match="because their precision differ .nf4 float32 and float32."):
        fingerprints.refuse_unlike({name: {"fingerprint_precision": name} for name in names})


@pytest.mark.parametrize("part", fingerprints.COMPARED)
def test_what_was_measured_differently_is_not_compared(part):
    fingerprints.refuse_unlike({"a": ALL, "b": ALL | {"fingerprint_model": "other"}})
    other = ALL | {f"fingerprint_{part}": "else"}
    with pytest.raises(UsageError, match=f"^a and c cannot be compared, because their {part} differ .* and else.*again"):
        fingerprints.refuse_unlike({"a": ALL, "b": ALL, "c": other})


def test_results_without_fingerprints_compare_with_each_other_alone():
    old = {"fingerprint_prompts": float("nan")}
    fingerprints.refuse_unlike({"a": old, "b": {}})
    with pytest.raises(UsageError, match="their prompts differ .unknown and p."):
        fingerprints.refuse_unlike({"a": old, "b": ALL})
