"""Audits of the runs of a profile, as a table, and of any two models.

The mathematics is `lib.audit`, an audit in words is `lib.reports.audit_words`; samples come from `lib.evaluation.pairs`."""

from collections.abc import Iterable

import pandas as pd

from lib.audit import decomposition
from lib.audit.decomposition import Audit
from lib.evaluation import pairs, runner
from lib.evaluation.config import EvalConfig
from lib.evaluation.statistics import Interval
from lib.models.tokens import Tokenizer, prompt_ids
from lib.profiles import Profile
from lib.reports import audit_words, results
from lib.storage import files, folders
from lib.training import train

ABOUT = ("model", "objective", "alpha", "beta_inv", "normalization", "length_exponent", "learning_rate", "seed")


def pair_of_run(profile: Profile, run: str) -> pairs.Pair:
    """A run of a profile and its base."""
    model = profile.rows[run]["model"]
    base = folders.run_folder(profile.name, folders.base_name(model))
    return pairs.of_run(folders.run_folder(profile.name, run), base, profile.eval_configs(model)[0])


def samples_of_run(profile: Profile, run: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(samples, greedy completions) of a run of a profile and of its base, on the first data set of the model."""
    return pairs.samples(pair_of_run(profile, run), profile.eval_configs(profile.rows[run]["model"])[0])


def prompt(tokenizer: Tokenizer, profile: Profile, run: str, problem_id: str) -> list[int]:
    """The token ids of a test problem's prompt."""
    config = profile.eval_configs(profile.rows[run]["model"])[0]
    problem = next(one for one in runner.load_problems(config).problems if one.id == problem_id)
    return prompt_ids(tokenizer, [problem.messages])[0]


def collect(profile: Profile) -> bool:
    """Audits every run of a profile and writes `data/results/<profile>/audit.csv`, a row per run; False, with a message, if not
    every run is trained yet."""
    missing = [run for run in profile.rows if not train.finished(folders.run_folder(profile.name, run))]
    if missing:
        print(f"{len(missing)} of {len(profile.rows)} runs of {profile.name} are not trained yet ({missing[0]}, …).")
        return False
    rows = []
    for run in profile.rows:
        sampled, greedy = samples_of_run(profile, run)
        about = files.read_json(folders.run_folder(profile.name, run) / "config.json")
        numbers = about["settings"] | about["objective"] | {"objective": about["objective"]["name"]}
        found = decomposition.audit(sampled, greedy=greedy)
        rows.append({"run": run, **{name: numbers[name] for name in ABOUT}, **found.row()})
    files.write_table(folders.results_folder(profile.name) / "audit.csv", results.with_lines(pd.DataFrame(rows), profile))
    return True


def load(profile: str) -> pd.DataFrame:
    """The audits of a profile, with a `label` of the objective and a `name` of the run; raises UsageError if there are none."""
    table = results.labelled(results.read_table(profile, "audit", "audits").assign(refusal=lambda t: t["refusal"].fillna("")))
    table["name"] = table["model"] + ", " + table["label"]
    several = table.groupby("name")["seed"].transform("nunique") > 1
    return table.assign(name=table["name"].where(~several, table["name"] + ", seed " + table["seed"].astype(str)))


def over_seeds(audits: pd.DataFrame) -> pd.DataFrame:
    """The audits of a profile (`load`), a row per model and label: means over its seeds, and the first refusal. A share that one
    seed has and another has not, as of sharpening where that was flattened, is 0 there, unless all of that seed is refused."""
    shares = [c for c in audits if c.startswith("share_")]
    filled = audits[shares].fillna(0.0).where(audits["share_rest"].notna(), audits[shares])
    groups = audits.assign(**filled).groupby(["model", "label"], sort=False)
    first = groups[["objective", "refusal"]].agg({"objective": "first", "refusal": lambda told: next(filter(None, told), "")})
    found = first.join(groups[[*shares, "kl", *(c for c in audits if c.startswith("accuracy_"))]].mean()).reset_index()
    return found.assign(name=found["model"] + ", " + found["label"])


def first_here(candidates: Iterable[Profile], objective: str = "task") -> tuple[Profile, str] | None:
    """The first profile of several that has a trained run of an objective on this machine, and that run."""
    runs = ((profile, run) for profile in candidates for run, row in profile.rows.items() if row["objective"] == objective)
    return next(((profile, run) for profile, run in runs if train.finished(folders.run_folder(profile.name, run))), None)


def of_models(base: str, trained: str, config: EvalConfig, load_in_4bit: bool = True) -> tuple[pd.DataFrame, Audit]:
    """(samples of two models, their audit)."""
    table, greedy = pairs.samples(pairs.of_models(base, trained, config, load_in_4bit), config)
    return table, decomposition.audit(table, greedy=greedy)


def fits(audits: pd.DataFrame) -> pd.DataFrame:
    """What was fitted to the runs of a profile, a row per model and label: KL(π‖p) in nats, the mean over seeds, and α*, λ* and γ*,
    the mean, where there are several seeds with the lowest and the highest; a dash where every seed is refused."""
    groups = audits.groupby(["model", "label"], sort=False)
    found = {"KL": groups["kl"].mean().map("{:.2f}".format)}
    for column, name in audit_words.PARAMETERS.items():
        ends = groups[column].agg(["mean", "min", "max"]).itertuples(index=False)
        known = [None if pd.isna(mean) else Interval(mean, low, high) for mean, low, high in ends]
        told = [f"{one.mean:.2f}" if one and one.low == one.high else audit_words.shown(one) for one in known]
        found[name] = pd.Series(told, index=found["KL"].index)
    return pd.DataFrame(found).reset_index()
