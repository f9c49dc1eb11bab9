"""Splits that do not overlap, golds that are right, files that are checked."""

import pandas as pd
import pytest

from lib.data import arithmetic, multiplication, problems, sets
from lib.models import tiny


def test_generated_sums_are_right_different_and_fixed_by_the_seed():
    rows = problems.load("arithmetic", "test", 300)
    assert len({p.id for p in rows}) == 300
    for p in rows:
        a, b = map(int, p.prompt.split("+"))
        assert p.gold == str(a + b) and p.source == "arithmetic/test"
        assert 0 <= a <= 9999 and 0 <= b <= 9999
    assert problems.load("arithmetic", "test", 300) == rows
    assert problems.load("arithmetic", "test", 100) == rows[:100]
    assert problems.load("arithmetic", "test", 300, seed=1) != rows


def test_splits_do_not_overlap_also_not_with_the_pre_training_corpus():
    ids = {split: {p.id for p in problems.load("arithmetic", split, 2000)} for split in sets.SPLITS}
    assert not ids["train"] & ids["test"] and not ids["train"] & ids["validation"] and not ids["test"] & ids["validation"]
    examples = tiny.corpus(tiny.RECIPES["one_wording"])
    seen = {next(examples)[0] for _ in range(20_000)}
    assert {arithmetic.split_of(*map(int, problem.split("+"))) for problem in seen} == {"train"}


def test_messages_are_a_user_turn():
    assert problems.load("arithmetic", "train", 1)[0].messages[0]["role"] == "user"


def test_a_local_file(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": 1, "prompt": "1+1", "gold": 2}\n{"id": 2, "prompt": "2+2", "gold": "4"}\n')
    rows = problems.load(str(path), "test", 10)
    assert [(p.id, p.gold, p.source) for p in rows] == [("1", "2", "mine.jsonl"), ("2", "4", "mine.jsonl")]
    assert len(problems.load(str(path), "test", 1)) == 1


def test_a_local_parquet_file_in_a_known_schema(tmp_path):
    path = tmp_path / "mine.parquet"
    rows = [{"question": f"What is {n}+{n}?", "answer": f"Twice {n}.\n#### {2 * n}"} for n in range(60)]
    pd.DataFrame(rows).to_parquet(path)
    test, train, validation = (problems.load(str(path), split, 100) for split in ("test", "train", "validation"))
    assert [p.gold for p in test] == [str(2 * n) for n in range(60)] and test[3].source == "mine.parquet"
    assert len(train) + len(validation) == 60 and not {p.id for p in train} & {p.id for p in validation}
    assert problems.load_set(str(path), "test", 1).revision != problems.load_set(str(changed(path)), "test", 1).revision


def changed(path):
    pd.read_parquet(path).head(10).to_parquet(path.with_name("other.parquet"))
    return path.with_name("other.parquet")


@pytest.mark.parametrize("line", ["not json", '{"id": 1, "prompt": "1+1"}', "[1]"])
def test_a_broken_line_is_named(tmp_path, line):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": 1, "prompt": "1+1", "gold": 2}\n' + line + "\n")
    with pytest.raises(ValueError, match="line 2"):
        problems.load(str(path), "test", 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("arithmetics", "test", 1), "Unknown data set 'arithmetics'"),
        (("arithmetic", "dev", 1), "Unknown split 'dev'"),
        (("arithmetic", "test", 0), "ask for at least 1"),
        (("missing.jsonl", "test", 1), "There is no file missing.jsonl"),
        (("missing.parquet", "test", 1), "There is no file missing.parquet"),
        (("reasoning-gym/chess", "test", 1), "Unknown reasoning-gym task 'chess'"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        problems.load(*arguments)


def test_a_set_of_ones_own_is_one_entry(monkeypatch, tmp_path):
    """A file with columns of its own, under a name, for testing alone."""
    monkeypatch.setattr(sets, "SETS", dict(sets.SETS))
    path = tmp_path / "capitals.jsonl"
    path.write_text('{"land": "France", "capital": "\\\\text{Paris}"}\n{"land": "Italy", "capital": "\\\\text{Rome}"}\n')
    entry = sets.DataSet("capitals", str(path), train=None, question="land", answer="capital")
    sets.register(entry)
    assert entry.is_file and entry.hub_id is None
    found = problems.load_set("capitals", "test", 10)
    assert [p.question for p in found.problems] == ["France", "Italy"] and found.problems[1].gold == "\\text{Rome}"
    with pytest.raises(ValueError, match="capitals has no train split, it is there to test: train on another data set"):
        problems.load("capitals", "train", 1)
    with pytest.raises(ValueError, match="There is a data set 'capitals' already"):
        sets.register(entry)
    with pytest.raises(ValueError, match="Unknown data set 'capital': choose arithmetic, .*capitals, a hub id"):
        problems.load("capital", "test", 1)
    sets.register(sets.DataSet("wrong", str(path), question="country", answer="capital"))
    with pytest.raises(ValueError, match="wrong, line 1, is not an object with country and capital: it has land, capital"):
        problems.load("wrong", "test", 1)


def test_sums_of_five_digits_have_five_in_both_numbers_and_take_turns_with_four():
    five = problems.load("five_digits", "test", 50)
    assert all(10**4 <= int(number) < 10**5 for p in five for number in p.prompt.split("+"))
    assert all(sum(map(int, p.prompt.split("+"))) == int(p.gold) and p.source == "five_digits/test" for p in five)
    mixed = problems.load("four_and_five_digits", "test", 10)
    assert mixed[1::2] == five[:5] and mixed[::2] == problems.load("arithmetic", "test", 5)
    splits = {split: {p.id for p in problems.load("five_digits", split, 500)} for split in sets.SPLITS}
    assert not splits["test"] & splits["train"] and not splits["validation"] & splits["train"]


def test_multiplication_has_every_product_once_and_mirror_images_in_one_split():
    rows = {split: problems.load("multiplication", split, 200) for split in sets.SPLITS}
    numbers = {split: [tuple(map(int, p.id.split("*"))) for p in found] for split, found in rows.items()}
    known = {(a, b) for a in range(2, 13) for b in range(2, 13)} - {(7, 8), (8, 7)}
    assert sorted(pair for found in numbers.values() for pair in found) == sorted(known)
    assert all((b, a) in found for found in numbers.values() for a, b in found)
    assert all(int(p.gold) == a * b for split, found in rows.items() for p, (a, b) in zip(found, numbers[split], strict=True))
    assert len(rows["test"]) > 40 and len(rows["train"]) > 40
    first = rows["test"][0]
    assert [turn["role"] for turn in first.messages] == ["user", "assistant", "user"]
    assert first.messages[0]["content"] == multiplication.EXAMPLE[0] and first.messages[2]["content"] == first.prompt
    assert problems.load("multiplication", "test", 200, seed=1) != rows["test"]
