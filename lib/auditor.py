"""`make audit`: what RL did to a model, from the shell. `python -m lib.auditor BASE TRAINED DATA [setting=value …]` samples two
models; `python -m lib.auditor samples.parquet` takes a file, and needs neither torch nor a GPU."""

import sys
from typing import Any

from lib.audit import decomposition, samples
from lib.reports import audit_words
from lib.storage.errors import UsageError

USAGE = (
    "Say make audit BASE=… TRAINED=… DATA=…, with SETTINGS such as samples=32 if you want, or make audit SAMPLES=scored.parquet: "
    "docs/audit.md explains them."
)


def run(arguments: list[str]) -> str:
    """The report on what was asked for. Raises UsageError."""
    if len(arguments) == 1:
        table = samples.read(arguments[0])
        found = decomposition.audit(table)
    elif len(arguments) >= 3 and all(arguments[:3]) and all("=" in one for one in arguments[3:]):
        from lib.evaluation.config import EvalConfig
        from lib.reports import audits

        base, trained, data = arguments[:3]
        settings: dict[str, Any] = dict(one.split("=", 1) for one in arguments[3:])
        in_4bit = settings.pop("load_in_4bit", "true").lower()
        if in_4bit not in ("true", "false"):
            raise UsageError(f"load_in_4bit is {in_4bit!r}: choose true or false.")
        table, found = audits.of_models(base, trained, EvalConfig(**{"data": data} | settings), in_4bit == "true")
    else:
        missing = [name for name, value in zip(("BASE", "TRAINED", "DATA"), arguments) if not value]
        wrong = [one for one in arguments[3:] if "=" not in one]
        said = f"{' and '.join(missing)} missing. " if missing else f"{wrong[0]!r} is no setting. " if wrong else ""
        raise UsageError(said + USAGE)
    return audit_words.whole(table, found)


def main(arguments: list[str]) -> None:
    """Prints the report, or one sentence."""
    try:
        print(run(arguments))
    except UsageError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
