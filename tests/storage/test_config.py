"""Typed settings: every mistake is one sentence that names the field, what was given and what is allowed."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from lib.storage.config import Config
from lib.storage.errors import UsageError


class Example(Config):
    name: str
    steps: Annotated[int, Field(ge=1)] = 3
    rate: float = 0.1
    kind: Literal["a", "b"] = "a"
    on: bool = False


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Example needs name: give it a value."),
        ({"name": 3}, "name is 3: it must be a valid string."),
        ({"name": "x", "steps": "x"}, "steps is 'x': it must be a valid integer, unable to parse string as an integer."),
        ({"name": "x", "steps": 2.5}, "steps is 2.5: it must be a valid integer, got a number with a fractional part."),
        ({"name": "x", "steps": 0}, "steps is 0: it must be greater than or equal to 1."),
        ({"name": "x", "rate": "fast"}, "rate is 'fast': it must be a valid number, unable to parse string as a number."),
        ({"name": "x", "rate": float("nan")}, "rate is nan: it must be a finite number."),
        ({"name": "x", "kind": "c"}, "kind is 'c': it must be 'a' or 'b'."),
        ({"name": "x", "on": "perhaps"}, "on is 'perhaps': it must be a valid boolean, unable to interpret input."),
        ({"name": "x", "stps": 3}, "Unknown setting stps (3): did you mean steps?"),
        ({"name": "x", "zzz": 3}, "Unknown setting zzz (3): choose from name, steps, rate, kind, on."),
    ],
)
def test_every_mistake_is_one_sentence(values, message):
    with pytest.raises(UsageError) as found:
        Example(**values)
    assert str(found.value) == message


def test_text_that_stands_for_a_number_is_one():
    """YAML reads 3e-4 as text, and a shell has nothing but text."""
    assert Example(name="x", steps="4", rate="3e-4", on="true").rate == 0.0003


def test_settings_cannot_be_changed_but_copied_with_changes_that_are_checked():
    one = Example(name="x")
    assert one.changed(steps=5).steps == 5 and one.steps == 3
    with pytest.raises(UsageError, match="steps is -1"):
        one.changed(steps=-1)
    with pytest.raises(ValueError, match="frozen"):
        one.steps = 4
