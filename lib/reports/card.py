"""Measures an embedded base on sums that it never saw, and writes its model card (`card.md`) from the measurements alone.

The base is measured as it is stored, in float32; training and evaluation use it in 4 bits, which changes it a little."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lib.data import problems
from lib.evaluation import forecast, grading
from lib.models.sampling import Sampler
from lib.models.tokens import Model, Tokenizer
from lib.storage import files


class Measurement(NamedTuple):
    """The numbers of a card, and every answer found, graded and scored; `how` is sampled, greedy, direct or worked."""

    numbers: dict[str, float]
    answers: pd.DataFrame


def measure(model: Model, tokenizer: Tokenizer, count: int = 1000, samples: int = 16) -> Measurement:
    """Samples at temperature 1, greedy answers, and greedy answers of each kind, on `count` held-out sums. A kind is forced by its
    first token alone: the box for a direct answer, anything but the box for a worked one."""
    loaded, test_set = grading.Loaded(model, tokenizer), problems.load("arithmetic", "test", count)
    box = tokenizer.convert_tokens_to_ids("\\boxed{")
    greedy = Sampler(temperature=0.0)
    tables = {
        "sampled": grading.table(loaded, test_set, Sampler(), samples),
        "greedy": grading.table(loaded, test_set, greedy),
        "direct": grading.table(loaded, test_set, greedy, first_not=[i for i in range(len(tokenizer)) if i != box]),
        "worked": grading.table(loaded, test_set, greedy, first_not=[box]),
    }
    answers = pd.concat([table.assign(how=how) for how, table in tables.items()], ignore_index=True)
    return Measurement(_numbers(answers), answers)


def likeliest(answers: pd.DataFrame) -> pd.DataFrame:
    """The likeliest completion found for each problem, a row a problem."""
    return answers.loc[answers.groupby("problem_id", sort=False)["reference_logprob"].idxmax()]


def best_of_each_kind(answers: pd.DataFrame) -> pd.DataFrame:
    """The highest S_p found for each problem among worked and among direct completions: columns `worked`, `direct`, in nats."""
    kinds = answers["direct"].map({True: "direct", False: "worked"})
    return answers.groupby(["problem_id", kinds], sort=False)["reference_logprob"].max().unstack().dropna()


def covariance(sampled: pd.DataFrame) -> float:
    """Cov(r, log p) within a problem, averaged over problems: the slope of accuracy in α at α = 1, in nats."""
    shape = sampled["problem_id"].nunique(), -1
    columns = (sampled[c].to_numpy(dtype=float).reshape(shape) for c in ("correct", "reference_logprob"))
    return float(forecast.covariances(*columns).mean())


def _numbers(answers: pd.DataFrame) -> dict[str, float]:
    by = dict(list(answers.groupby("how")))
    sampled, greedy, best, count = by["sampled"], by["greedy"], likeliest(answers), answers["problem_id"].nunique()
    numbers = {"problems": count, "samples": len(sampled) // count}
    numbers |= {"accuracy_sampled": sampled["correct"].mean(), "accuracy_greedy": greedy["correct"].mean()}
    numbers |= {"direct_share_sampled": sampled["direct"].mean(), "direct_share_greedy": greedy["direct"].mean()}
    for kind in ("direct", "worked"):
        tables = {"sampled": sampled[sampled["direct"] == (kind == "direct")], "greedy": by[kind]}
        for name, column in (("accuracy", "correct"), ("logprob", "reference_logprob")):
            numbers |= {f"{name}_{kind}_{how}": table[column].mean() for how, table in tables.items()}
    numbers |= {"likeliest_direct_share": best["direct"].mean(), "likeliest_accuracy": best["correct"].mean()}
    numbers |= {"likeliest_is_greedy": np.mean(best["completion"].to_numpy() == greedy["completion"].to_numpy())}
    return {name: float(value) for name, value in (numbers | {"covariance": covariance(sampled)}).items()}


def write(folder: Path, name: str, measurement: Measurement, model: Model, source: Path) -> None:
    """Writes `README.md` (the card) and `card.json` (its numbers) into `folder`, of the base that lies in `source`."""
    recipe, best = files.read_json(source / "recipe.json"), likeliest(measurement.answers)
    numbers = measurement.numbers | {"parameters": sum(p.numel() for p in model.parameters())}
    example = best[best["direct"] == (best["direct"].mean() > 0.5)].iloc[0]  # of the commoner kind
    files.write_json(folder / "card.json", numbers)
    with files.atomic(folder / "README.md") as path:
        path.write_text(text(name, recipe, numbers, example), encoding="utf-8")


def text(name: str, recipe: dict, numbers: dict[str, float], example: Mapping[str, Any]) -> str:
    """The card: `card.md` with the numbers of `card.json`, those of the recipe, and the likeliest completion of one sum."""
    wordings = "one way" if recipe["wordings"] == 1 else f"{recipe['wordings']} ways, at random"
    more = {"wordings": wordings, "worked_share": 1 - recipe["direct_share"]}
    template = Path(__file__).with_name("card.md").read_text(encoding="utf-8")
    return template.format(name=name, recipe=recipe, example=example, **more, **numbers)
