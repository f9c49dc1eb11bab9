"""A profile's results: the tables `data/results/<profile>/` that figures and the README are made from.

`summary.csv` has a row a run and a row a base, `steps.csv` a row a run and training step, `differences.csv` a row a comparison,
paired by question: of the last checkpoint with the base, and of the best one with the last. What was measured differently is
not compared.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lib import fingerprints, runs, statistics
from lib.runs import HOME, ROOT, UsageError

RUN_COLUMNS = ("model", "regime", "alpha", "beta_inv", "normalization", "seed", "checkpoint")
STEP_COLUMNS = ["step", "task_accuracy", "reward", "length", "bare_share", "truncated", "reference_logprob"]
STEP_COLUMNS += ["policy_logprob", "kl", "entropy", "zero_variance", "grad_norm", "seconds", "tokens"]
DIFFERENCE_COLUMNS = ["model", "data_set", "label", "before", "after", *statistics.Difference._fields]
NOT_IN_TABLES = ("plan", "validation", "step", "revision", "left_out", "verifier")
BEGIN, END = "<!-- results: make table -->", "<!-- end of results -->"


def folder(profile: str) -> Path:
    """Where a profile's tables are."""
    return HOME / "data" / "results" / profile


def collect(profile: str) -> bool:
    """Writes a profile's tables from its run folders; False, with a message, if not every run is evaluated yet.

    Raises UsageError, and writes nothing, if they were not all evaluated in the same way.
    """
    described = runs.load_profile(profile)
    trained = list(runs.profile_runs(described))
    paths = _evaluations(profile, described)
    if missing := [name for (name, _), path in paths.items() if not path.exists()]:
        print(f"{len(missing)} of {len(paths)} evaluations of {profile} are not there yet ({missing[0]}, …).")
        return False
    best = {(f"{name}-best", stem): path.with_name(f"{stem}-best.json") for (name, stem), path in paths.items()}
    paths |= {name: path for name, path in best.items() if path.exists()}
    found = [runs.read_json(path) for path in paths.values()]
    rows = [{k: v for k, v in row.items() if k not in NOT_IN_TABLES} for row in found]
    folders = {name: runs.run_folder(profile, name) for name in trained}
    steps = [pd.DataFrame(runs.read_lines(path / "metrics.jsonl")).assign(run=name) for name, path in folders.items()]
    summary = pd.DataFrame(rows).assign(run=[name for name, _ in paths], path=list(paths.values()))
    _refuse_unlike(summary)
    tables = {"steps": pd.concat(steps)[["run", *STEP_COLUMNS]]}
    tables["differences"] = _differences(summary.assign(label=summary.apply(label, axis=1)))
    tables["summary"] = summary.drop(columns="path")
    for name, table in tables.items():
        with runs.atomic(folder(profile) / f"{name}.csv") as path:
            table.to_csv(path, index=False, float_format="%.6g")
    environments = [runs.read_json(runs.run_folder(profile, name) / "environment.json") for name in trained]
    same = all(environment == environments[0] for environment in environments)
    runs.write_json(folder(profile) / "environment.json", environments[0] | {"the_same_for_all_runs": same})
    return True


def _evaluations(profile: str, described: dict) -> dict[tuple[str, str], Path]:
    """The result file of each base and run of a profile on each of its model's data sets, by (name, file stem)."""
    names = {runs.base_name(model): model for model in runs.profile_models(described)}
    names |= {name: row["model"] for name, row in runs.profile_runs(described).items()}
    stems = [(name, runs.evaluation_stem(*on)) for name in names for on in runs.evaluated_on(described, names[name])]
    return {(name, stem): runs.run_folder(profile, name) / "evaluations" / f"{stem}.json" for name, stem in stems}


def _refuse_unlike(summary: pd.DataFrame) -> None:
    """Raises UsageError if runs on one data set were not all evaluated in the same way."""
    for _, rows in summary.groupby("data_set", sort=False):
        fingerprints.refuse_unlike({row["run"]: row for row in rows.to_dict("records")})


def _differences(summary: pd.DataFrame) -> pd.DataFrame:
    """Every comparison that a profile's evaluations allow, all seeds of a label together; `path` is a result file."""
    rows = []
    for (model, data), same in summary.groupby(["model", "data_set"], sort=False):
        paths = same.set_index("run")["path"]
        for name, group in same[same["regime"] != "base"].groupby("label", sort=False):
            last = group[group["checkpoint"] != "best"]["run"].tolist()
            best = [run for run in last if f"{run}-best" in paths]
            sides = [
                ("base", "last", [runs.base_name(model)], last),
                ("last", "best", best, [f"{run}-best" for run in best]),
            ]
            for before, after, *names in sides:
                if names[0]:
                    compared = difference(*(list(paths[side]) for side in names))
                    rows.append([model, data, name, before, after, *compared])
    return pd.DataFrame(rows, columns=DIFFERENCE_COLUMNS)


def difference(before: Sequence[Path], after: Sequence[Path]) -> statistics.Difference:
    """The difference in sampled accuracy of evaluations, result files of one label's seeds each, paired by question and seed.

    Raises UsageError if prompts, sampler or grader differ.
    """
    paths = [*before, *after]
    fingerprints.refuse_unlike({f"{path.parents[1].name}/{path.stem}": runs.read_json(path) for path in paths})
    values = [np.stack([_by_question(path) for path in side]) for side in (before, after)]
    return statistics.difference(*values)


def _by_question(path: Path) -> np.ndarray:
    """Sampled accuracy of each question, [P], in the order of the problem set."""
    samples = pd.read_parquet(path.with_name(f"{path.stem}-sampled.parquet"), columns=["problem_id", "correct"])
    return samples.groupby("problem_id", sort=False)["correct"].mean().to_numpy(dtype=float)


def load_differences(profile: str) -> pd.DataFrame:
    """A profile's comparisons, as `statistics.Difference` describes them; empty for results from before there were any."""
    path = folder(profile) / "differences.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=DIFFERENCE_COLUMNS)


def load(profile: str, data_set: str | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(summary, steps) of a profile on one data set (`arithmetic/test`), each with a `label` column (`tilted α=2 β⁻¹=100`).

    Without a data set it is each model's first. The last checkpoint is the headline: rows of best ones are in the file, but not
    here. Raises UsageError if there are no results, or if they were not all measured in the same way.
    """
    if not (folder(profile) / "summary.csv").exists():
        raise UsageError(
            f"There are no results of the profile {profile!r}: run `make reproduce PROFILE={profile}` first."
        )
    summary = pd.read_csv(folder(profile) / "summary.csv")
    steps = pd.read_csv(folder(profile) / "steps.csv")
    _refuse_unlike(summary)
    summary = summary[summary["checkpoint"] != "best"]
    chosen = summary.groupby("model")["data_set"].transform("first") if data_set is None else data_set
    if data_set is not None and data_set not in set(summary["data_set"]):
        sets = ", ".join(dict.fromkeys(summary["data_set"]))
        raise UsageError(f"{profile} has no results on {data_set!r}: choose one of {sets}.")
    summary = summary[summary["data_set"] == chosen].reset_index(drop=True)
    summary["label"] = summary.apply(label, axis=1)
    keys = summary[["run", "model", "regime", "label"]]
    return summary, steps.merge(keys, on="run", validate="many_to_one")


def data_sets(profile: str) -> list[str]:
    """The data sets that a profile has results on, in their order."""
    return list(dict.fromkeys(pd.read_csv(folder(profile) / "summary.csv")["data_set"]))


def label(row: pd.Series) -> str:
    """A run's regime with the numbers that its regime uses."""
    text = row["regime"]
    if row["regime"] in ("sharpen", "tempered", "tilted", "task+likelihood"):
        text += f" α={row['alpha']:g}"
    if row["regime"] in ("tilted", "task+likelihood"):
        text += f" β⁻¹={row['beta_inv']:g}"
    text += " fixed" if row.get("fixed_length") is True else ""
    return text + (
        f" {row['normalization']}"
        if row.get("normalization", "sum") not in ("sum", None) and pd.notna(row["normalization"])
        else ""
    )


def largest_k(summary: pd.DataFrame) -> int:
    """The largest k that pass@k and maj@k were computed for."""
    return max(int(c.removeprefix("pass_at_")) for c in summary if re.fullmatch(r"pass_at_\d+", c))


def lines(steps: pd.DataFrame, model: str) -> dict[tuple[str, str], pd.DataFrame]:
    """The rows of `steps` of one model, by (regime, label), in the order of the profile."""
    return dict(list(steps[steps["model"] == model].groupby(["regime", "label"], sort=False)))


def markdown(profile: str) -> str:
    """The README's table of a profile, a row a run and a row a base."""
    summary, _ = load(profile)
    most = largest_k(summary)
    head = f"| base | regime | seed | accuracy, sampled (95%) | greedy | pass@{most} | maj@{most} | length | bare | KL(π‖p) |"
    rows = [head, "|---|---|---|---|---|---|---|---|---|---|"]
    for _, r in summary.sort_values(["model", "run"], key=lambda c: c.str.replace("base-", " ")).iterrows():
        accuracy = f"{r['accuracy_sampled']:.1%} ({r['accuracy_sampled_low']:.1%} to {r['accuracy_sampled_high']:.1%})"
        seed = "" if pd.isna(r["seed"]) else f"{r['seed']:.0f}"
        rates = " | ".join(f"{r[c]:.1%}" for c in ("accuracy_greedy", f"pass_at_{most}", f"maj_at_{most}"))
        rows.append(
            f"| {r['model']} | {r['label']} | {seed} | {accuracy} | {rates} | {r['length_mean']:.1f} | "
            f"{r['bare_share']:.1%} | {r['kl']:.2f} |"
        )
    first = summary.iloc[0]
    note = f"{first['problems']:.0f} test problems, {first['samples']:.0f} samples a problem at temperature 1"
    return "\n".join([*rows, "", f"{note}; length in tokens, KL in nats a completion."])


def update_readme(profile: str) -> None:
    """Puts the profile's table between the README's two markers."""
    path = ROOT / "README.md"
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    with runs.atomic(path) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{markdown(profile)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    update_readme(sys.argv[1])
