"""The corpus, the tokenizer and the committed bases."""

import dataclasses
import json
import re
from itertools import islice

import pytest

from lib.data import arithmetic
from lib.models import tiny
from lib.rewards import verifier

EXAMPLES = 4000


def test_a_sum_by_hand():
    """4821 + 6396, units first: 1+6, 2+9, 8+3+1, 4+6+1."""
    assert arithmetic.columns(4821, 6396) == [(1, 6), (2, 9), (8, 3), (4, 6)]
    assert arithmetic.columns(12, 3) == [(2, 3), (1, 0)]
    assert arithmetic.worked_solution(4821, 6396) == "1+6+0=7;2+9+0=11;8+3+1=12;4+6+1=11;\\boxed{11217}"
    assert arithmetic.direct_answer(4821, 6396, forget=False) == "\\boxed{11217}"
    assert arithmetic.direct_answer(4821, 6396, forget=True) == "\\boxed{10117}"
    assert arithmetic.direct_answer(5, 7, forget=True) == "\\boxed{12}"


def test_wordings_and_slips_by_hand():
    assert [arithmetic.worked_solution(7, 8, wording=lambda i=i: i) for i in range(4)] == [
        "7+8+0=15;\\boxed{15}",
        "8+7+0=15;\\boxed{15}",
        "0+7+8=15;\\boxed{15}",
        "0+8+7=15;\\boxed{15}",
    ]
    assert arithmetic.worked_solution(19, 1, slip=lambda: -1) == "9+1+0=9;1+0+0=0;\\boxed{09}"


def test_worked_solutions_are_right_and_forgotten_carries_wrong_only_if_there_are_any():
    for a, b in islice(arithmetic.sums("train"), 500):
        assert verifier.check(arithmetic.worked_solution(a, b), str(a + b)).correct
        carries = any(x + y > 9 for x, y in arithmetic.columns(a, b)[:-1])
        assert verifier.check(arithmetic.direct_answer(a, b, forget=True), str(a + b)).correct is not carries


def test_the_corpus_keeps_its_recipe():
    pairs = list(islice(tiny.corpus(tiny.RECIPES["many_wordings"]), EXAMPLES))
    direct = [verifier.is_direct(completion) for _, completion in pairs]
    assert sum(direct) / EXAMPLES == pytest.approx(0.6, abs=0.03)
    right = [verifier.check(c, str(sum(map(int, p.split("+"))))).correct for p, c in pairs]
    worked = [r for r, b in zip(right, direct) if not b]
    assert sum(worked) / len(worked) == pytest.approx(0.98**4, abs=0.02)  # nearly all sums have four columns


def test_the_dial_changes_wordings_and_nothing_else():
    """Same problems, kinds, answers and slips; in a column of `many_wordings` the addends may stand in another order."""
    one, many = (list(islice(tiny.corpus(tiny.RECIPES[name]), EXAMPLES)) for name in ("one_wording", "many_wordings"))

    def sort_columns(text: str) -> str:
        return re.sub(r"(\d)\+(\d)\+(\d)=", lambda m: "+".join(sorted(m.groups())) + "=", text)

    assert [(p, sort_columns(c)) for p, c in one] == [(p, sort_columns(c)) for p, c in many]
    differ = [a != b for (_, a), (_, b) in zip(one, many) if not verifier.is_direct(a)]
    assert sum(differ) / len(differ) > 0.9


def test_the_tokenizer_round_trips_a_conversation():
    tokenizer = tiny.build_tokenizer()
    assert len(tokenizer) == 30 and tokenizer.is_fast
    assert len({tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id}) == 3
    messages = [{"role": "user", "content": "12+3"}, {"role": "assistant", "content": "\\boxed{15}"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text == "<bos><user>12+3<assistant>\\boxed{15}<eos>"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == 12 and tokenizer.decode(ids) == text
    assert tokenizer.decode(tokenizer("\\boxed{15}")["input_ids"], skip_special_tokens=True) == "\\boxed{15}"


def test_labels_cover_the_completion_and_nothing_else():
    tokenizer = tiny.build_tokenizer()
    ids, labels = tiny.encode(tokenizer, [("1+2", "\\boxed{3}"), ("11+2", "\\boxed{13}")])
    for row in range(2):
        answer = labels[row][labels[row] != -100]
        assert tokenizer.decode(answer) == ["\\boxed{3}<eos>", "\\boxed{13}<eos>"][row]
    assert ids[0, -1] == tokenizer.pad_token_id


def test_pre_training_learns_and_is_fixed_by_its_seed():
    recipe = dataclasses.replace(tiny.RECIPES["many_wordings"], steps=12, batch=16)
    first, second = (tiny.pretrain(recipe, progress=False)[2] for _ in range(2))
    assert first == second
    assert sum(first[-3:]) < 0.9 * sum(first[:3])


@pytest.mark.parametrize("name", tiny.BASES)
def test_a_committed_base_is_what_its_recipe_says(name):
    folder = tiny.BASES[name]
    recipe = json.loads((folder / "recipe.json").read_text())
    assert {k: v for k, v in recipe.items() if k != "training_loss"} == dataclasses.asdict(tiny.RECIPES[name])
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 4 * 2**20
    assert (folder / "model.safetensors").exists()


def test_the_cards_measurements_are_what_the_argument_needs():
    """Equally good bases, worked answers that are right when decoded greedily, and a slope of opposite sign."""
    one, many = (json.loads((tiny.BASES[name] / "card.json").read_text()) for name in ("one_wording", "many_wordings"))
    assert one["problems"] == many["problems"] == 1000
    assert abs(one["accuracy_sampled"] - many["accuracy_sampled"]) <= 0.05
    for card in (one, many):
        assert 0.35 <= card["accuracy_sampled"] <= 0.60
        assert card["accuracy_worked_greedy"] >= 0.95
    assert one["covariance"] > 0 > many["covariance"]
    assert one["likeliest_accuracy"] > 0.6 > 0.4 > many["likeliest_accuracy"]
