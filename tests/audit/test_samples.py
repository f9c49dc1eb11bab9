"""Tables of samples: what is refused, in one sentence that names the row, and what becomes of the rest."""

import re

import numpy as np
import pandas as pd
import pytest

from lib.audit import decomposition, families, samples
from lib.storage.errors import UsageError
from tests.audit import worlds


def table() -> pd.DataFrame:
    found = worlds.SIX["all three"].table(6, 4, 0)
    return found.assign(sample=found.groupby(["problem_id", "source"]).cumcount())


def changed(column, value, row=7):
    found = table()
    found[column] = found[column].astype(object)
    found.loc[row, column] = value
    return found


def scored_in_two_ways():
    """log p of π's samples comes from another precision or template than that of p's samples."""
    found = table()
    return found.assign(base_logprob=found["base_logprob"] - 2.0 * (found["source"] == "trained"))


def graded_in_two_ways():
    found = table()
    twins = found[found.duplicated(["problem_id", "completion"], keep=False)].sort_values(["problem_id", "completion"])
    found.loc[twins.index[0], "correct"] = 1 - found.loc[twins.index[0], "correct"]
    return found


BAD = {
    "not a number": (changed("base_logprob", np.nan), "Row 8 of the samples has base_logprob = nan: base_logprob must be a finite"),
    "log π not a number": (changed("trained_logprob", np.nan, 30), "Row 31 .* trained_logprob must be a number"),
    "above 0": (changed("base_logprob", 0.7), "Row 8 .* base_logprob must not be above 0"),
    "text": (changed("length", "long"), "Row 8 .* length must be a number of tokens"),
    "length 0": (changed("length", 0), "Row 8 .* length must be a number of tokens, 1 or more"),
    "verdict": (changed("correct", 0.5), "Row 8 .* correct must be 0 or 1"),
    "source": (changed("source", "student"), "Row 8 .* source must be one of base, trained"),
    "no problem": (changed("problem_id", None), "Row 8 .* problem_id must not be empty"),
    "drawn though impossible": (changed("trained_logprob", -np.inf, 30), "Row 31 .* its log π must be finite"),
    "no column": (table().drop(columns="length"), r"The samples have no column length \(only .*completion"),
    "one source": (
        table().query("source == 'base'"),
        "Problem '.' has 4 samples of the base and 0 of the trained: give 2 or more of each",
    ),
    "copies": (pd.concat([table(), table().iloc[[3]]]), "Row 49 .* this sample of this problem is there twice"),
    "two scores": (scored_in_two_ways(), "Row .* base_logprob = .* other rows with the same problem and completion say otherwise"),
    "two verdicts": (graded_in_two_ways(), "Row .* correct = .* other rows with the same problem and completion say otherwise"),
    "every row twice": (pd.concat([table().drop(columns="sample")] * 2), "Every row of the samples is there twice"),
    "ids in place of text": (table().assign(completion=[[1, 2]] * 48), "Row 1 .* completion must be text or a number, no list"),
    "a list for a problem": (table().assign(problem_id=[["a"]] * 48), "Row 1 .* problem_id must be text or a number, no list"),
    "one problem": (table().query("problem_id == problem_id.iloc[0]"), "The samples are of one problem"),
    "empty": (table().iloc[:0], "The samples are empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_refused_in_one_sentence_with_the_row(name):
    bad, sentence = BAD[name]
    with pytest.raises(UsageError, match=f"^{sentence}") as raised:
        decomposition.audit(bad)
    assert "\n" not in str(raised.value) and re.fullmatch(r".*[^.]\.", str(raised.value))


def test_a_bad_file_is_refused_in_the_same_words(tmp_path):
    bad, sentence = BAD["above 0"]
    bad.to_parquet(tmp_path / "scored.parquet")
    with pytest.raises(UsageError, match=f"^{sentence}"):
        samples.read(tmp_path / "scored.parquet")


def test_one_source_of_one_problem_is_refused_by_its_name():
    found = table()
    gone = found[(found["source"] == "trained") & (found["problem_id"] == found["problem_id"].iloc[0])].index
    with pytest.raises(UsageError, match=f"Problem '{found['problem_id'].iloc[0]}' has 4 samples of the base and 0"):
        samples.checked(found.drop(index=gone))


def test_one_text_may_have_several_tokenisations():
    """As real tokenizers do: a few rows have another length, or other log-probabilities, than their twins."""
    found = worlds.SIX["all three"].table(60, 8, 0)
    twins = found[found.duplicated(["problem_id", "completion"], keep=False)].sort_values(["problem_id", "completion"]).index
    found.loc[twins[0], ["length", "base_logprob", "trained_logprob"]] += [1, -6.0, -6.0]
    found.loc[twins[-1], ["base_logprob", "trained_logprob"]] -= 6.0
    assert len(samples.checked(found)) == len(found)


def test_verdicts_that_do_not_belong_to_the_samples_are_refused():
    """Every sample of π counts as right and none of the base's, although both models write much the same."""
    found = worlds.SIX["hardly moved"].table(100, 8, 0).drop(columns="completion")
    with pytest.raises(UsageError, match="do not fit the samples: the base's accuracy is off by"):
        decomposition.audit(found.assign(correct=(found["source"] == "trained") * 1.0))


def test_samples_of_another_temperature_are_refused():
    """π's samples come from π at temperature 0.7, and are scored at 1."""
    world = worlds.SIX["all three"]
    drawn = worlds.tilted(world, (0.0, 0.0, 0.0))
    sharp = world.log_pi / 0.7
    drawn = worlds.World(world.log_p, sharp - np.logaddexp.reduce(sharp, axis=1, keepdims=True), world.reward, world.length)
    found = drawn.table(200, 16, 0)
    found["trained_logprob"] = rescored(found, world)
    with pytest.raises(UsageError, match="The log-probabilities do not fit the samples: a check value is off by"):
        decomposition.audit(found)
    decomposition.audit(world.table(200, 16, 0))


def rescored(found, world):
    """log π of each row in its own world."""
    kind = {(p, int(c)): k for k, row in enumerate(world.log_p) for c, p in enumerate(row)}
    return [world.log_pi[kind[p, int(c)], int(c)] for p, c in zip(found["base_logprob"], found["completion"])]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_file_is_read_as_it_was_written(tmp_path, suffix):
    path = tmp_path / f"scored{suffix}"
    whole = table()
    whole.to_parquet(path) if suffix == ".parquet" else whole.to_json(path, orient="records", lines=True)
    found = samples.read(path)
    for name in samples.COLUMNS:
        assert (
            list(found[name]) == pytest.approx(list(whole[name])) if name[0] not in "ps" else list(found[name]) == list(whole[name])
        )


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("nowhere.parquet", None, "There is no file .*nowhere.parquet: give"),
        ("samples.csv", b"a,b", "samples.csv is no table of samples: write it as"),
        ("broken.parquet", b"PAR1 but no more", "cannot be read as .parquet"),
        ("broken.jsonl", b'{"problem_id": 1', "cannot be read as .jsonl"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        samples.read(tmp_path / name)


def test_questions_may_have_different_numbers_of_samples():
    found = table()
    short = found[(found["sample"] < 3) | (found["problem_id"] != found["problem_id"].iloc[0])]
    pool = samples.pooled(samples.checked(short), families.STANDARD)
    assert pool.source.shape == (6, 8) and (pool.source >= 0).sum(axis=1).tolist() == [6, 8, 8, 8, 8, 8]
    assert (pool.features[0, 6:] == 0).all() and np.isneginf(pool.log_base[0, 6:]).all()


def test_the_balance_heuristic_by_hand():
    """Two samples of p, one of π: m = (2p + π)/3."""
    log_p, log_pi = np.log([[0.5, 0.2, 0.2]]), np.log([[0.1, 0.6, 0.6]])
    base, trained = samples.balanced(np.array([[0, 0, 1]]), np.stack([log_p, log_pi], axis=2))
    m = (2 * np.exp(log_p) + np.exp(log_pi)) / 3
    assert np.exp(base) == pytest.approx(np.exp(log_p) / m) and np.exp(trained) == pytest.approx(np.exp(log_pi) / m)


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        ((families.SHARPENING,), "The features are sharpening: give sharpening, selection"),
        ((*families.STANDARD, families.LENGTH), "each once"),
        ((*families.STANDARD, families.Feature("hedges", "", lambda t: t["hedges"])), "There is no column 'hedges' in the samples"),
        ((*families.STANDARD, families.Feature("odd", "", lambda t: np.log(t["length"] * 0))), "The feature odd of row 1"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_features_are_refused(features, sentence):
    with pytest.raises(UsageError, match=sentence):
        decomposition.audit(table(), features)


def test_the_same_text_of_other_tokens_may_have_another_probability():
    """Bytes that are no text decode to the same sign, whatever they are: only rows of the same tokens must agree."""
    found = scored_in_two_ways()
    apart = found.assign(ids=[[number] for number in range(len(found))])
    assert len(samples.checked(apart)) == len(found)
    same = found.assign(ids=[list(text.encode()) for text in found["completion"].astype(str)])
    with pytest.raises(UsageError, match="score all in one way"):
        samples.checked(same)
