"""Typed settings: a pydantic model whose every mistake is one sentence that names the field, what was given and what is allowed."""

import difflib
import re
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lib.storage.errors import UsageError


class Config(BaseModel):
    """Settings that cannot be changed once they are made. Unknown names, wrong types and values out of range raise UsageError. Text
    that stands for a number is taken as one, since YAML reads `3e-4` as text and a shell has nothing but text."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UsageError(sentence(error, type(self))) from None

    def changed(self, **values: Any) -> Self:
        """A copy with other values, checked like new ones."""
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | values)


def sentence(error: ValidationError, model: type[BaseModel]) -> str:
    """The first mistake in words: the field, what was given, and what is allowed."""
    errors = error.errors(include_url=False)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])  # a misspelt name is missing, too
    kinds = re.compile(r"str|int|float|constrained-\w+|.*\[.*")  # pydantic adds which kind of a union it tried
    field, given = ".".join(str(part) for part in first["loc"] if not kinds.fullmatch(str(part))), first["input"]
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(field, model.model_fields, 1)
        advice = f"did you mean {close[0]}?" if close else f"choose from {', '.join(model.model_fields)}."
        return f"Unknown setting {field} ({given!r}): {advice}"
    if first["type"] == "missing":
        return f"{model.__name__} needs {field}: give it a value."
    if first["type"] == "value_error":  # of a check of ours, which is a sentence already
        return str(first["ctx"]["error"])
    allowed = first["msg"].partition(" should ")[2] or first["msg"]
    return f"{field} is {given!r}: it must {allowed.partition(' after validation')[0]}."
