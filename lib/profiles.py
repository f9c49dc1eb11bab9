"""Profiles: the settings of a batch reproduction, `profiles/<name>.yaml`. Everything in one is checked when it is loaded: each run
becomes a `TrainConfig`, each evaluation an `EvalConfig`. `lib.reproduce` carries a profile out."""

import functools
import itertools
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from lib.evaluation import runner
from lib.evaluation.config import EvalConfig
from lib.models import built, tiny
from lib.storage import folders
from lib.storage.config import Config
from lib.storage.errors import UsageError
from lib.training.config import TrainConfig

Values = dict[str, Any]  # settings by name
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class Line(Config):
    """A line of `runs`: what its runs have of their own. A list stands for one run for each of its values."""

    model: str | list[str]
    objective: str | list[str]
    alpha: float | list[float] | None = None
    beta_inv: float | list[float] | None = None
    normalization: str | list[str] | None = None
    length_exponent: float | list[float] | None = None
    learning_rate: float | list[float] | None = None
    fixed_length: bool | None = None
    order: Literal["shortest_first"] | None = None
    seeds: Seeds | None = None  # None: the profile's
    rounds: PositiveInt = 1  # runs in a row, each from the last one's policy, which is its reference

    def rows(self) -> list[Values]:
        """Each run of the line, lists multiplied out, without its seed."""
        given = self.model_dump(exclude_none=True, exclude={"seeds", "rounds"})
        lists = [value if isinstance(value, list) else [value] for value in given.values()]
        return [dict(zip(given, values, strict=True)) for values in itertools.product(*lists)]


class Profile(Config):
    """A batch reproduction. `train` and `evaluate` are settings that all runs share, `by_model` what one model has instead.
    `evaluate.data` may be a list: then every model is evaluated on each, the first being the headline. `notebooks` are those that
    need no run; `without_training` has parameters of notebook 08; `memory_mb` is what a job may take, for Snakemake, and
    `hours_per_job` its time limit on a cluster. A profile that `compares_rates` is there to find learning rates: it has no forecast
    and no audit. `checkpoint` best evaluates, beside the last one, the checkpoint of each run that is best on validation. `closing`
    are notebooks run last, which read all results."""

    name: str
    title: str
    seeds: Seeds
    train: Values
    evaluate: Values
    runs: Annotated[list[Line], Field(min_length=1)]
    by_model: dict[str, dict[Literal["train", "evaluate"], Values]] = {}
    notebooks: list[str] = []
    without_training: dict[Literal["alpha", "questions", "steps", "particles", "block"], PositiveFloat | PositiveInt] = {}
    memory_mb: PositiveInt = 2000  # of a tiny base: 1,600 as SLURM counts, all processes of the job together
    hours_per_job: PositiveFloat = 4
    compares_rates: bool = False
    closing: list[str] = []
    checkpoint: Literal["last", "best"] = "last"

    @model_validator(mode="after")
    def _can_be_carried_out(self) -> Self:
        there = {path.stem for path in (folders.ROOT / "notebooks").glob("*.ipynb")}
        for name in ("notebooks", "closing"):
            if unknown := sorted(set(getattr(self, name)) - there):
                raise UsageError(f"{name} lists some that are not there: {', '.join(unknown)}.")
        if unknown := sorted(set(self.by_model) - set(self.models)):
            raise UsageError(f"by_model has {', '.join(unknown)}, which no run has.")
        if len({folders.base_name(model) for model in self.models}) < len(self.models):
            raise UsageError(f"Two of {', '.join(self.models)} end alike, and would share a folder of results: rename one.")
        for row in self.rows.values():
            self.train_config(**row)
        for model in self.models:
            if "/" not in model and model not in built.MODELS:
                known = f"{', '.join(tiny.BASES)}, a hub id, ./folder, or of those that are built here {', '.join(built.NAMES)}"
                raise UsageError(f"There is no model {model!r}: give {known}.")
            trained_on = self.section("train", model).get("data", "arithmetic")
            for one in self.eval_configs(model):
                if runner.is_training_data(trained_on, one):
                    advice = "give evaluate another file, or set on_training_data: true there"
                    raise UsageError(f"{one.data} is what {model} is trained on and tested on: {advice}.")
        return self

    @functools.cached_property
    def rows(self) -> dict[str, Values]:
        """What each run sets itself, by the run's name: lists multiplied out, and a copy for each seed."""
        found: dict[str, Values] = {}
        for line in self.runs:
            for chosen in line.rows():
                for seed, number in itertools.product(line.seeds or self.seeds, range(1, line.rounds + 1)):
                    row = chosen | {"seed": seed} | ({"round": number} if number > 1 else {})
                    if found.setdefault(name := run_name(**row), row) != row:
                        raise UsageError(f"Two runs would be called {name}: {found[name]} and {row}. Rename a model.")
        return found

    @property
    def models(self) -> list[str]:
        """The models of its runs, in their order."""
        return list(dict.fromkeys(row["model"] for row in self.rows.values()))

    @property
    def needs_gpu(self) -> bool:
        """Whether it is for a GPU: a model of it is neither committed nor built here."""
        return not set(self.models) <= set(built.MODELS)

    def section(self, name: Literal["train", "evaluate"], model: str) -> Values:
        """Its `train` or `evaluate` settings for one of its models."""
        return getattr(self, name) | self.by_model.get(model, {}).get(name, {})

    def load_in_4bit(self, model: str) -> bool:
        """Whether the runs of a model are on a base in 4 bits, and so is the base's own evaluation."""
        return bool(self.section("train", model).get("load_in_4bit", True))

    def train_config(self, **chosen: Any) -> TrainConfig:
        """The settings of a run: its own for the model, under what is chosen here (None leaves the profile's)."""
        own = self.section("train", str(chosen.get("model")))
        if (number := chosen.pop("round", None) or 1) > 1:
            chosen["start"] = run_name(**chosen | {"round": number - 1})
        return TrainConfig(**own | {k: v for k, v in chosen.items() if v is not None})

    def eval_configs(self, model: str, data: str | None = None) -> list[EvalConfig]:
        """The evaluations of a model, one per data set, the headline first; or the one of `data`. Raises UsageError for data that
        the model is not evaluated on."""
        values = self.section("evaluate", model)
        sets = values.get("data", "arithmetic")
        sets = sets if isinstance(sets, list) else [sets]
        if data is not None and data not in sets:
            raise UsageError(f"{self.name} does not evaluate {model} on {data!r}: choose one of {', '.join(sets)}.")
        return [EvalConfig(**values | {"data": one}) for one in sets if data in (None, one)]


def names() -> list[str]:
    """The names of all profiles."""
    return sorted(path.stem for path in (folders.ROOT / "profiles").glob("*.yaml"))


def load(name: str) -> Profile:
    """`profiles/<name>.yaml`, checked. Raises UsageError in one sentence that says where the mistake is."""
    path = folders.ROOT / "profiles" / f"{name}.yaml"
    if name not in names():
        raise UsageError(f"There is no profile {name!r}: choose one of {', '.join(names())}.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Profile(**{**values, "name": name})
    except (yaml.YAMLError, TypeError) as error:
        raise UsageError(f"{path.name} is no YAML mapping: {' '.join(str(error).split())}.") from None
    except UsageError as error:
        raise UsageError(f"{path.name}: {error}") from None


def run_name(model: str, objective: str, seed: int, **numbers: Any) -> str:
    """A run's folder name: what was asked for, in file-name letters, such as `many_wordings-tempered-a4-s0`, or `…-s0-round2`.
    `numbers` are other settings of `Line`; None, a normalization of `sum`, and the first round leave no trace."""
    shown = {"alpha": "a{:g}", "beta_inv": "b{:g}", "normalization": "{}", "length_exponent": "e{:g}", "learning_rate": "r{:g}"}
    shown |= {"fixed_length": "fixed", "order": "{}"}
    given = {name: value for name, value in numbers.items() if value not in (None, "sum") and value is not False}
    parts = [form.format(given[name]) for name, form in shown.items() if name in given]
    parts += [f"s{seed}"] + ([f"round{number}"] if (number := numbers.get("round") or 1) > 1 else [])
    return "-".join([folders.short_name(model), objective, *parts])
