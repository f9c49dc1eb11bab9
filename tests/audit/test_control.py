"""The positive control: a model that was taught what its base cannot do. Nothing that tilts the base explains that."""

import itertools

import pytest

from lib.audit import decomposition, rates
from lib.data import arithmetic
from lib.evaluation import pairs
from lib.evaluation.config import EvalConfig
from lib.models import loading, tiny
from lib.storage import files, folders


def taught(folder, steps=200):
    """`one_wording`, fine-tuned by supervision on worked sums of five digits, whose columns it knows and whose number it does
    not."""
    import torch

    model, tokenizer = loading.load_as_stored(tiny.BASES["one_wording"])
    examples = tiny.corpus(tiny.Recipe(digits=5, direct_share=0.0, slip=0.0))
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=5e-4)
    for _ in range(steps):
        tiny._backward(model, tokenizer, list(itertools.islice(examples, 64)))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_what_was_taught_lands_beyond_reach_and_in_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "HOME", tmp_path)
    asked = [pair for pair in itertools.islice(arithmetic.sums("test", 5), 60) if min(pair) >= 10_000][:30]
    files.write_lines(tmp_path / "five.jsonl", [{"id": f"{a}+{b}", "prompt": f"{a}+{b}", "gold": str(a + b)} for a, b in asked])
    config = EvalConfig(data=str(tmp_path / "five.jsonl"), problems=30, samples=64, max_completion_tokens=96)
    found = pairs.of_models("one_wording", str(taught(tmp_path / "taught")), config, load_in_4bit=False)
    table, greedy = pairs.samples(found, config)
    each = rates.by_question(table)
    assert len(each) == 30 and each["base_right"].eq(0).all() and each["trained"].mean() > 0.9
    audit = decomposition.audit(table, greedy=greedy)
    print(audit.row(), rates.support(each), rates.tries(each))
    assert audit.beyond_reach.mean == pytest.approx(1, abs=0.05)  # selection is all of it, and none is within reach
    assert "beyond reach" not in audit.refusals
