"""How near the runs of a profile have come to the optima of their objectives: `data/results/<profile>/optimum.csv`.

The mathematics is `lib.evaluation.optimum`, the search `lib.models.search`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lib.evaluation import optimum, runner
from lib.evaluation.grading import grade
from lib.evaluation.metrics import Graded
from lib.models import built, loading, sources, tokens
from lib.models.search import Likely
from lib.profiles import Profile
from lib.reports import results
from lib.storage import files, folders

ABOUT = ["run", "model", "objective", "label", "alpha", "learning_rate", "seed"]


def runs_of(profile: Profile, model: str) -> list[str]:
    """The runs on a model whose optimum can be found: `sharpen`, and `tempered` with α above 1, on a tiny base sampled as it is.
    Larger models have more likely completions than can be searched."""
    if model not in built.FAMILY or loading.gpu_is_there() or not profile.eval_configs(model)[0].samples_from_p():
        return []
    configs = {name: profile.train_config(**row) for name, row in profile.rows.items() if row["model"] == model}
    plain = {n: c for n, c in configs.items() if (c.normalization, c.fixed_length, c.temperature) == ("sum", False, 1)}
    numbers = {name: config.resolved_objective() for name, config in plain.items()}
    return [n for n, one in numbers.items() if one.name == "sharpen" or one.name == "tempered" and one.alpha > 1]


def searched(profile: Profile, model: str, known: Sequence[Graded]) -> tuple[list[Likely], list[np.ndarray]]:
    """(the likeliest completions of each test problem under a base, which of them are right), in the order of the evaluation;
    `known` are completions that somebody wrote, which no optimum may miss."""
    config = profile.eval_configs(model)[0]
    rows = pd.concat([table for graded in known for table in graded])
    best = rows.groupby("problem_id")["reference_logprob"].max()
    asked = {problem.id: problem for problem in runner.load_problems(config).problems}
    names = known[0].greedy["problem_id"].tolist()
    loaded, tokenizer = loading.load(sources.resolve(model), 256, profile.load_in_4bit(model))
    prompts = tokens.prompt_ids(tokenizer, [asked[name].messages for name in names])
    found = optimum.search_questions(loaded, tokenizer, prompts, best[names].tolist(), config.max_completion_tokens)
    texts = [tokenizer.batch_decode(one.ids, skip_special_tokens=True) for one in found]
    golds = [asked[name].gold for name in names]
    return found, [np.array([v.correct for v in grade(own, [gold] * len(own))]) for own, gold in zip(texts, golds, strict=True)]


def collect(profile: Profile) -> bool:
    """Writes the table; False, with a message, if not every run is evaluated yet, or no run has an optimum that is known."""
    summary = results.evaluations(profile)
    if summary is None:
        return False
    paths = summary[summary["checkpoint"] != "best"].drop_duplicates("run").set_index("run", drop=False)
    rows = []
    for model in profile.models:
        chosen = paths.loc[runs_of(profile, model)]
        if len(chosen):
            base = runner.graded(Path(paths.loc[folders.base_name(model), "path"]))
            own = [runner.graded(Path(path)) for path in chosen["path"]]
            found, correct = searched(profile, model, [base, *own])
            about = chosen[ABOUT].to_dict("records")
            rows += [(row, optimum.distance(base, one, found, correct, row)) for row, one in zip(about, own, strict=True)]
    if not rows:
        print(f"{profile.name} has no run of sharpen, or of tempered with α above 1, on a tiny base: there is nothing to measure.")
        return False
    files.write_table(folders.results_folder(profile.name) / "optimum.csv", optimum.table(rows))
    return True


def load(profile: str) -> pd.DataFrame:
    """The table of a profile; raises UsageError if there is none."""
    return results.read_table(profile, "optimum", "distances")
