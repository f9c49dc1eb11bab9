"""Shared n-grams, and the procedural problems that cannot be in anyone's training data."""

from lib.data import decontamination, problems, procedural, sets
from lib.data.prompts import CLOSING, Problem, instructed


def problem(identity: str, question: str) -> Problem:
    return Problem(identity, instructed(question), "7", "here")


def test_a_shared_run_of_words_is_found_and_the_instruction_is_none():
    sentence = "a farmer sells three brown hens and two white geese at market"
    train = [problem("copy", f"One day {sentence.upper()}, why?"), problem("own", "How many hens lay two eggs a day?")]
    test = [problem("test", f"Suppose {sentence} for nine dollars.")]
    assert decontamination.shared(train, test) == ["copy"]
    assert decontamination.shared(train, test, words=12) == ["copy"] and decontamination.shared(train, test, words=13) == []
    assert decontamination.shared(train, []) == []


def test_a_short_question_counts_as_a_whole():
    train = [problem("same", "What is 12 + 30?"), problem("other", "What is 12 + 31?")]
    assert decontamination.shared(train, [problem("test", "what is 12 + 30 ?")]) == ["same"]


def test_fresh_procedural_problems_are_different_in_every_split_and_seed():
    found = {s: problems.load("reasoning-gym/chain_sum", s, 60) for s in sets.SPLITS}
    questions = {split: {p.question for p in rows} for split, rows in found.items()}
    assert all(len(rows) == 60 for rows in questions.values())
    assert not questions["train"] & questions["test"] and not questions["validation"] & questions["test"]
    assert found["test"] == problems.load("reasoning-gym/chain_sum", "test", 60)
    assert found["test"] != problems.load("reasoning-gym/chain_sum", "test", 60, seed=1)
    assert decontamination.shared(found["train"], found["test"], words=30) == []


def test_every_procedural_task_has_golds_that_can_be_read():
    for task in procedural.TASKS:
        found = problems.load(f"reasoning-gym/{task}", "train", 3)
        assert found and all(p.gold and p.prompt.endswith(CLOSING) for p in found), task
