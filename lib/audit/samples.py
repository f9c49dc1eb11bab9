"""The samples that an audit is made from: a table with a row per completion, checked, and as arrays by question.

A row has `problem_id`, `source` (base or trained: who drew it), `correct` (0 or 1), `length` (tokens), `base_logprob` and
`trained_logprob` (log p and log π of the whole completion in nats, EOS included, at temperature 1 without top-p or top-k), and
whatever features need. `trained_logprob` may be missing in all base rows: then those stand for p alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from lib.audit import families
from lib.audit.families import Feature
from lib.audit.projection import Pool
from lib.audit.reach import Unseen
from lib.storage.errors import UsageError

COLUMNS = ("problem_id", "source", "correct", "length", "base_logprob", "trained_logprob")
SOURCES = ("base", "trained")
READERS = {".parquet": pd.read_parquet, ".jsonl": lambda path: pd.read_json(path, lines=True, dtype={"problem_id": str})}
ROUNDING = 1e-3  # nats: a log-probability may be above 0 by so much
LEAST = 2  # samples of each source per question


def read(path: str | Path) -> pd.DataFrame:
    """A table of samples from a .parquet or .jsonl file, checked. Raises UsageError, in one sentence, for a file that is none."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise UsageError(f"There is no file {path}: give a .parquet or .jsonl file with {', '.join(COLUMNS)}.")
    if path.suffix not in READERS:
        raise UsageError(f"{path} is no table of samples: write it as .parquet or .jsonl.")
    try:
        table = READERS[path.suffix](path)
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} cannot be read as {path.suffix}: {' '.join(str(error).split())[:200]}.") from None
    return checked(table)


def checked(table: pd.DataFrame) -> pd.DataFrame:
    """The table with numbers for numbers, if an audit can be made from it. Raises UsageError that names the first bad row."""
    if table.empty:
        raise UsageError("The samples are empty: an audit needs samples of both models.")
    if missing := [name for name in COLUMNS if name not in table]:
        raise UsageError(
            f"The samples have no column {missing[0]} (only {', '.join(map(str, table))}): an audit needs {', '.join(COLUMNS)}."
        )
    table = table.reset_index(drop=True)
    for name in {"problem_id", "source", "completion", "sample"} & set(table):
        nested = table[name].map(lambda value: isinstance(value, (list, dict, np.ndarray)))
        _refuse(nested, table[name].map(str), f"{name} must be text or a number, no list")
    given = table
    numbers = {name: pd.to_numeric(table[name].astype(object), errors="coerce").astype(float) for name in COLUMNS[2:]}
    table = table.assign(**numbers)
    trained = table["source"] == "trained"
    unscored = table["trained_logprob"].isna() & ~trained
    _refuse(~table["source"].isin(SOURCES), table["source"], f"source must be one of {', '.join(SOURCES)}")
    _refuse(table["problem_id"].isna(), table["problem_id"], "problem_id must not be empty")
    _refuse(~table["correct"].isin([0, 1]), given["correct"], "correct must be 0 or 1")
    _refuse(~(table["length"] >= 1) | np.isinf(table["length"]), given["length"], "length must be a number of tokens, 1 or more")
    for name in ("base_logprob", "trained_logprob"):
        _refuse(table[name] > ROUNDING, table[name], f"{name} must not be above 0: it is the log of a probability, in nats")
    _refuse(~np.isfinite(table["base_logprob"]), table["base_logprob"], "base_logprob must be a finite number")
    unknown = table["trained_logprob"].isna() if not unscored[~trained].all() else table["trained_logprob"].isna() & trained
    _refuse(unknown, table["trained_logprob"], "trained_logprob must be a number (or be missing in all rows of the base)")
    _refuse(trained & np.isinf(table["trained_logprob"]), table["trained_logprob"], "π drew this, so its log π must be finite")
    if "completion" in table:
        _refuse_contradictions(table)
    _refuse_lonely(table)
    return table


def _refuse(bad: pd.Series, values: pd.Series, sentence: str) -> None:
    if bad.any():
        row = int(bad.to_numpy().argmax())
        value = values.iloc[row]
        value = value.item() if isinstance(value, np.generic) else value
        raise UsageError(f"Row {row + 1} of the samples has {values.name} = {value!r}: {sentence}.")


def _refuse_contradictions(table: pd.DataFrame) -> None:
    """Refuses one text with two verdicts, and log-probabilities that mostly differ between rows of one problem, text and length, or
    of the same token `ids` where there are any: then rows have been scored in two ways. A few texts may differ, since one text can
    be tokenised in several ways."""
    verdicts = table.groupby(["problem_id", "completion"], sort=False)["correct"].transform("nunique")
    _refuse(verdicts > 1, table["correct"], "other rows with the same problem and completion say otherwise: grade all in one way")
    written = table["ids"].map(tuple) if "ids" in table else table["completion"]
    keys = [table["problem_id"], written, table["length"]]
    groups = table.groupby(keys, sort=False)
    repeated = groups["source"].transform("size") > 1
    for name in ("base_logprob", "trained_logprob"):
        known = table[name].where(np.isfinite(table[name]))
        by_text = known.groupby(keys, sort=False)
        bad = (by_text.transform("max") - by_text.transform("min")).fillna(0) > 0.05 + 1e-3 * known.abs().fillna(0)
        if bad.sum() > 0.1 * repeated.sum():
            _refuse(bad, table[name], "other rows with the same problem and completion say otherwise: score all in one way")


def _refuse_lonely(table: pd.DataFrame) -> None:
    """Refuses copies of whole rows, and questions without two samples of each source."""
    count = table.groupby(["problem_id", "source"], sort=False).size().unstack("source").reindex(columns=SOURCES).fillna(0)
    few = count[(count < LEAST).any(axis=1)]
    if len(few):
        name, (base, trained) = few.index[0], few.iloc[0]
        raise UsageError(
            f"Problem {name!r} has {base:.0f} samples of the base and {trained:.0f} of the trained: give {LEAST} or more of each."
        )
    if len(count) < 2:
        raise UsageError("The samples are of one problem: an audit needs two or more, since its intervals are over problems.")
    if "sample" in table and table["sample"].notna().all():
        copies = table.duplicated(["problem_id", "source", "sample"])
        _refuse(copies, table["sample"], "this sample of this problem is there twice: leave the copy out")
    elif not (table.groupby([*COLUMNS], dropna=False).size() % 2).any():
        raise UsageError("Every row of the samples is there twice: leave the copies out.")


def pooled(table: pd.DataFrame, features: Sequence[Feature]) -> Pool:
    """A checked table as arrays by question, in the order in which questions first appear."""
    order = pd.factorize(table["problem_id"])[0]
    place = table.groupby(order).cumcount().to_numpy()
    questions, most = int(order.max()) + 1, int(place.max()) + 1

    def spread(values: np.ndarray, empty: float) -> np.ndarray:
        found = np.full((questions, most, *values.shape[1:]), empty)
        found[order, place] = values
        return found

    source = spread((table["source"] == "trained").to_numpy(dtype=float), -1.0).astype(int)
    log_p, log_pi = (spread(table[f"{name}_logprob"].to_numpy(dtype=float), 0.0) for name in SOURCES)
    log_base, log_trained = balanced(source, np.stack([log_p, log_pi], axis=2))
    values = spread(families.values(table, features), 0.0)
    there = (source >= 0)[..., None]
    centre = (values * there).sum(axis=1) / there.sum(axis=1)
    ratio = np.where(source >= 0, log_pi - log_p, 0.0)
    return Pool((values - centre[:, None]) * there, centre, log_base, log_trained, ratio, source, source >= 0)


def exact(log_p: np.ndarray, log_pi: np.ndarray, correct: np.ndarray, length: np.ndarray) -> Pool:
    """Whole distributions as a pool, [Q, N] each, with the standard features; −inf is a completion that cannot happen."""
    there = np.isfinite(log_p)
    features = np.where(there[..., None], np.stack([log_p, correct, length], axis=2), 0.0)
    centre = features.mean(axis=1)
    ratio = np.where(there & np.isfinite(log_pi), log_pi - np.where(there, log_p, 0.0), 0.0)
    return Pool(features - centre[:, None], centre, log_p, log_pi, ratio, np.zeros(log_p.shape, dtype=int), there, True)


def balanced(source: np.ndarray, log_densities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(log p/m, log π/m) of samples [Q, n] by the balance heuristic, from the log-densities of all sources, [Q, n, S]: of p, of π,
    and of rungs between them. Where log π of the base's samples is unknown (NaN), p stands on its own samples alone, and π on
    its."""
    member = source[..., None] == np.arange(log_densities.shape[2])
    count = member.sum(axis=1)  # [Q, S]
    size = count.sum(axis=1)
    if np.isnan(log_densities).any():
        with np.errstate(divide="ignore"):
            alone = np.log(np.where(member, (size[:, None] / np.maximum(count, 1))[:, None], 0.0))
        return alone[..., 0], alone[..., 1]
    with np.errstate(divide="ignore"):
        shares = np.log(count / size[:, None])
    log_m = np.logaddexp.reduce(shares[:, None] + log_densities, axis=2)
    there = source >= 0
    log_base, log_trained = (np.where(there, log_densities[..., one] - log_m, -np.inf) for one in (0, 1))
    return log_base, log_trained


def refuse_other_densities(pool: Pool, column: int = 1) -> None:
    """Raises UsageError if the log-probabilities are not those that the samples were drawn by: then the mean of p/m over all
    samples is not 1, or the base's accuracy is another one by weights than by counting its own samples. Where π is like p the first
    cannot be seen, and neither can be where log π of the base's samples is missing."""
    weights, own = np.exp(pool.log_base), pool.source == 0
    mean = weights.sum(axis=1) / (pool.source >= 0).sum(axis=1)
    right = pool.features[..., column] + pool.centre[:, None, column]
    weighted, counted = (weights * right).sum(axis=1) / weights.sum(axis=1), (own * right).sum(axis=1) / own.sum(axis=1)
    checks = ((mean - 1, "a check value is off by {:+.3f}"), (weighted - counted, "the base's accuracy is off by {:+.1%}"))
    for off, said in checks:
        error = off.std(ddof=1) / np.sqrt(len(off))
        if abs(off.mean()) > 0.01 + stats.t.isf(3e-7, len(off) - 1) * error:
            raise UsageError(
                f"The log-probabilities do not fit the samples: {said.format(off.mean())}. Usual causes are a mean over tokens in "
                "place of a sum, EOS or the prompt counted wrongly, a temperature other than 1, top-p or top-k, a log to base 10."
            )


def unseen(table: pd.DataFrame, greedy: pd.DataFrame, features: Sequence[Feature]) -> Unseen:
    """The greedy completions that no sample of their question shows. Where there are several, such as p's and π's, the likelier."""
    shown = set(zip(table["problem_id"], table["completion"]))
    new = [pair not in shown for pair in zip(greedy["problem_id"], greedy["completion"])]
    log_p = np.where(new, greedy["base_logprob"].to_numpy(dtype=float), -np.inf)
    values = families.values(greedy, features)
    rows = pd.Series(log_p).groupby(greedy["problem_id"].to_numpy()).idxmax()
    chosen = rows.reindex(table["problem_id"].unique())
    known, place = chosen.notna().to_numpy(), chosen.fillna(0).to_numpy(dtype=int)
    return Unseen(np.where(known, log_p[place], -np.inf), values[place])
