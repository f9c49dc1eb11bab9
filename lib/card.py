"""Measures an embedded base on sums that it never saw, and writes its model card from the measurements alone.

The base is measured as it is stored, in float32; training and evaluation use it in 4 bits, which changes it a little.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lib import evaluate, models, problems, runs
from lib.sample import Sampler


@dataclass(frozen=True)
class Measurement:
    """The numbers of a card, and a table of every answer found: `how` (sampled, greedy, bare, worked), `text` and scores."""

    numbers: dict[str, float]
    answers: pd.DataFrame


def load(folder: Path):
    """(model, tokenizer) of a base as it is stored, in float32."""
    models.quiet()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    models.neutralise(model, tokenizer)
    return model, tokenizer


def measure(model, tokenizer, count: int = 1000, samples: int = 16, seed: int = 0) -> Measurement:
    """Samples (T = 1), greedy answers, and greedy answers of each kind, on `count` held-out sums.

    A kind is forced by its first token alone: the box for a bare answer, anything but the box for a worked one.
    """
    test_set = problems.load("arithmetic", "test", count)
    rows = list(zip(test_set, models.prompt_ids(tokenizer, [p.messages for p in test_set]), strict=True))
    box = tokenizer.convert_tokens_to_ids("\\boxed{")
    other = [i for i in range(len(tokenizer)) if i != box]
    greedy = Sampler(temperature=0.0, seed=seed)
    many = [row for row in rows for _ in range(samples)]
    tables = {
        "sampled": evaluate.table(model, tokenizer, many, Sampler(seed=seed)),
        "greedy": evaluate.table(model, tokenizer, rows, greedy),
        "bare": evaluate.table(model, tokenizer, rows, greedy, first_not=other),
        "worked": evaluate.table(model, tokenizer, rows, greedy, first_not=[box]),
    }
    answers = pd.concat([table.assign(how=how) for how, table in tables.items()], ignore_index=True)
    return Measurement(_numbers(answers), answers)


def likeliest(answers: pd.DataFrame) -> pd.DataFrame:
    """The likeliest completion found for each problem, a row a problem."""
    return answers.loc[answers.groupby("problem_id", sort=False)["reference_logprob"].idxmax()]


def best_of_each_kind(answers: pd.DataFrame) -> pd.DataFrame:
    """The highest S_p found for each problem among worked and among bare completions: columns `worked`, `bare`, in nats."""
    kinds = answers["bare"].map({True: "bare", False: "worked"})
    return answers.groupby(["problem_id", kinds], sort=False)["reference_logprob"].max().unstack().dropna()


def covariance(sampled: pd.DataFrame) -> float:
    """Cov(r, log p) within a problem, averaged over problems: the slope of accuracy in α at α = 1, in nats."""
    groups = sampled.groupby("problem_id", sort=False)
    means = [groups[c].transform("mean") for c in ("correct", "reference_logprob")]
    centred = [sampled["correct"] - means[0], sampled["reference_logprob"] - means[1]]
    size = groups.size().iloc[0]
    return float((centred[0] * centred[1]).mean() * size / (size - 1))


def _numbers(answers: pd.DataFrame) -> dict[str, float]:
    by = dict(list(answers.groupby("how")))
    sampled, best = by["sampled"], likeliest(answers)
    numbers = {
        "problems": answers["problem_id"].nunique(),
        "samples": int(sampled.groupby("problem_id").size().iloc[0]),
    }
    numbers |= {"accuracy_sampled": sampled["correct"].mean(), "accuracy_greedy": by["greedy"]["correct"].mean()}
    numbers |= {"bare_share_sampled": sampled["bare"].mean(), "bare_share_greedy": by["greedy"]["bare"].mean()}
    for kind, is_kind in (("bare", sampled["bare"]), ("worked", ~sampled["bare"])):
        numbers[f"accuracy_{kind}_sampled"] = sampled.loc[is_kind, "correct"].mean()
        numbers[f"accuracy_{kind}_greedy"] = by[kind]["correct"].mean()
        numbers[f"logprob_{kind}_sampled"] = sampled.loc[is_kind, "reference_logprob"].mean()
        numbers[f"logprob_{kind}_greedy"] = by[kind]["reference_logprob"].mean()
    numbers |= {"likeliest_bare_share": best["bare"].mean(), "likeliest_accuracy": best["correct"].mean()}
    numbers |= {"likeliest_is_greedy": np.mean(best["completion"].to_numpy() == by["greedy"]["completion"].to_numpy())}
    return {k: float(v) for k, v in (numbers | {"covariance": covariance(sampled)}).items()}


def write(folder: Path, name: str, measurement: Measurement, model, source: Path) -> None:
    """Writes `README.md` (the card) and `card.json` (its numbers) into `folder`, of the base that lies in `source`."""
    recipe = json.loads((Path(source) / "recipe.json").read_text())
    parameters = sum(p.numel() for p in model.parameters())
    runs.write_json(Path(folder) / "card.json", measurement.numbers | {"parameters": parameters})
    with runs.atomic(Path(folder) / "README.md") as path:
        path.write_text(_text(name, recipe, parameters, measurement), encoding="utf-8")


def _text(name: str, recipe: dict, parameters: int, measurement: Measurement) -> str:
    n, best = measurement.numbers, likeliest(measurement.answers)
    example = best[best["bare"] == (best["bare"].mean() > 0.5)].iloc[0]  # one of the commoner kind
    wordings = "one way" if recipe["wordings"] == 1 else f"{recipe['wordings']} ways, at random"

    def row(label: str, key: str, form: str = "{:.1%}") -> str:
        cells = " | ".join(form.format(n[f"{key}_{how}"]) for how in ("sampled", "greedy"))
        return f"| {label} | {cells} |"

    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# {name}: a tiny base model that adds two numbers

Generated by `notebooks/04_base_model.ipynb` from measurements; do not edit.

A Llama-architecture causal language model of {parameters:,} parameters over 30 tokens, trained from scratch (seed
{recipe["seed"]}, {recipe["steps"]:,} steps of {recipe["batch"]} examples at a peak rate of {recipe["learning_rate"]:g}) to a loss of
{recipe["training_loss"]:.3f} nats a token (mean of the last 50 steps) on sums of two numbers of up to {recipe["digits"]} digits:

- {recipe["bare"]:.0%} bare answers, such as `\\boxed{{11217}}`, of which {recipe["forget"]:.0%} forget the carries;
- {1 - recipe["bare"]:.0%} worked solutions, column by column with the carry, with a slip in {recipe["slip"]:.0%} of the columns;
- a column may be written in {wordings}. This is the one dial in which the two bases differ.

## Measured on {n["problems"]:,.0f} held-out sums

In float32; sampled means {n["samples"]:.0f} samples a sum at temperature 1. The greedy columns of a kind start from the likeliest first token
of that kind. S_p is the log-probability of the whole completion, in nats.

| | sampled | greedy |
|---|---|---|
{row("accuracy", "accuracy")}
{row("share of bare answers", "bare_share")}
{row("accuracy of bare answers", "accuracy_bare")}
{row("accuracy of worked answers", "accuracy_worked")}
{row("mean S_p of bare answers", "logprob_bare", "{:.2f}")}
{row("mean S_p of worked answers", "logprob_worked", "{:.2f}")}

Cov(r, log p) within a sum, the slope of accuracy in the sharpening exponent at α = 1: {n["covariance"]:+.3f} nats.

The likeliest completion found for a sum is bare in {n["likeliest_bare_share"]:.1%} of the sums and right in {n["likeliest_accuracy"]:.1%};
it is the greedy one in {n["likeliest_is_greedy"]:.1%}. For `{example["problem_id"]}` it is `{example["completion"]}` with
S_p = {example["reference_logprob"]:.2f}.
"""
