"""Two models that score each other's samples: kept, resumed, and refused where they do not belong together."""

import contextlib
import json
import shutil

import numpy as np
import pytest

from lib.audit import decomposition
from lib.evaluation import pairs, runner
from lib.evaluation.config import EvalConfig
from lib.models import loading, scoring, sources, tiny, tokens
from lib.storage import files, folders
from lib.storage.errors import UsageError
from lib.training import train
from tests.training import test_train

CONFIG = EvalConfig(problems=6, samples=4, chunk=2, batch_size=24)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of two steps."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    return train.train(train.prepare(folder, test_train.SMALL.changed(train_problems=16, micro_batch=8)))


@pytest.fixture(scope="module")
def pair(run, tmp_path_factory):
    """The run beside its base."""
    return pairs.of_run(run, tmp_path_factory.mktemp("base"), CONFIG)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "HOME", tmp_path)
    return tmp_path


def test_each_sample_is_scored_under_both(pair):
    table, greedy = pairs.samples(pair, CONFIG)
    assert table.groupby("source").size().to_dict() == {"base": 24, "trained": 24} and len(greedy) == 12
    subject = pair.trained.subject
    model, tokenizer = loading.load(subject.source, 96, subject.load_in_4bit)
    model = loading.load_adapter(model, tokenizer, subject.adapter)
    known = {problem.id: problem.messages for problem in runner.load_problems(CONFIG).problems}
    prompts = tokens.prompt_ids(tokenizer, [known[name] for name in table["problem_id"]])
    ids = [list(map(int, one)) for one in table["ids"]]
    for column, reference in (("trained_logprob", False), ("base_logprob", True)):
        scores = scoring.sequence_scores(model, prompts, ids, tokenizer.pad_token_id, reference=reference).logprob
        assert table[column].to_numpy() == pytest.approx(scores, abs=2e-4), column
    decomposition.audit(table, greedy=greedy)  # it can be audited


def test_what_is_there_is_kept_and_what_is_missing_is_scored(pair, monkeypatch):
    table, _ = pairs.samples(pair, CONFIG)
    place = pair.trained.folder / "evaluations" / "arithmetic-test-scored-base"
    (place / "000008.json").unlink()
    (place / "000016.json").write_text((place / "000016.json").read_text().replace("-", "", 1))
    scored = []
    monkeypatch.setattr(
        pairs.scoring,
        "sequence_scores",
        lambda model, prompts, ids, *a, **k: scored.append(len(ids)) or original(model, prompts, ids, *a, **k),
    )
    again, _ = pairs.samples(pair, CONFIG)
    assert scored[-2:] == [8, 8] and np.array_equal(again["trained_logprob"], table["trained_logprob"])
    monkeypatch.setattr(pairs.loading, "load", lambda *a, **k: pytest.fail("a model was loaded"))
    third, _ = pairs.samples(pair, CONFIG)
    assert third.equals(again)


original = scoring.sequence_scores


def test_two_whole_models_are_scored_both_ways(home):
    found = pairs.of_models("many_wordings", "one_wording", CONFIG)
    assert not found.one_base
    table, greedy = pairs.samples(found, CONFIG)
    own = table["source"] == "base"
    assert np.array_equal(table.loc[own, "base_logprob"], table.loc[own, "policy_logprob"])
    assert np.array_equal(table.loc[~own, "trained_logprob"], table.loc[~own, "policy_logprob"])
    assert (table.loc[own, "trained_logprob"] != table.loc[own, "base_logprob"]).all() and greedy["base_logprob"].notna().all()
    assert {path.name.split("-")[0] for path in (home / "runs" / "audits").iterdir()} == {"many_wordings", "one_wording"}


def test_a_run_and_its_adapter_lead_to_the_same(run, home):
    one, other = (pairs.of_models("many_wordings", str(place), CONFIG) for place in (run, run / "adapter"))
    assert one.one_base and other.one_base and one.base.folder == other.base.folder
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    pairs.samples(
        pairs.of_models("many_wordings", str(run), CONFIG.changed(problems=3, samples=2)), CONFIG.changed(problems=3, samples=2)
    )
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before  # its own evaluation is left alone
    first, second = (pairs.samples(found, CONFIG)[0] for found in (one, other))
    assert np.array_equal(first["trained_logprob"], second["trained_logprob"])


def test_models_that_do_not_belong_together_are_refused(run, home, tmp_path):
    with pytest.raises(UsageError, match="was trained on many_wordings, not on one_wording"):
        pairs.of_models("one_wording", str(run), CONFIG)
    with pytest.raises(UsageError, match="The adapter in .* was trained on .*many_wordings, not on one_wording"):
        pairs.of_models("one_wording", str(run / "adapter"), CONFIG)
    for said, fits in (("unsloth/Many_Wordings-unsloth-bnb-4bit", True), ("many_wordings-Instruct", False), ("wordings", False)):
        adapter = tmp_path / f"adapter-{fits}"
        shutil.copytree(run / "adapter", adapter, dirs_exist_ok=True)
        about = files.read_json(adapter / "adapter_config.json") | {"base_model_name_or_path": said}
        files.write_json(adapter / "adapter_config.json", about)
        with contextlib.nullcontext() if fits else pytest.raises(UsageError, match=f"was trained on {said}, not on many_wordings"):
            pairs.of_models("many_wordings", str(adapter), CONFIG)
    (adapter / "adapter_config.json").write_text("{")
    with pytest.raises(UsageError, match="adapter_config.json cannot be read"):
        pairs.of_models("many_wordings", str(adapter), CONFIG)
    other = tmp_path / "other"
    shutil.copytree(tiny.BASES["many_wordings"], other)
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    first, second = list(vocabulary)[10:12]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    files.write_json(other / "tokenizer.json", tokenizer)
    with pytest.raises(UsageError, match="different tokenizers"):
        pairs.samples(pairs.of_models("many_wordings", str(other), CONFIG), CONFIG)
    shutil.copy(tiny.BASES["many_wordings"] / "tokenizer.json", other)
    (other / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    with pytest.raises(UsageError, match="different chat templates"):
        pairs.samples(pairs.of_models("many_wordings", str(other), CONFIG), CONFIG)


def test_weights_that_may_run_code_are_refused(run, home, tmp_path):
    adapter = tmp_path / "adapter"
    shutil.copytree(run / "adapter", adapter)
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(UsageError, match="has no .safetensors weights"):
        pairs.of_models("many_wordings", str(adapter), CONFIG)


@pytest.mark.parametrize("settings", [{"temperature": 0.7}, {"top_p": 0.9}, {"top_k": 5}, {"samples": 1}])
def test_samples_that_are_not_from_the_models_themselves_are_refused(pair, settings):
    with pytest.raises(UsageError, match="An audit needs two or more samples per problem at temperature 1"):
        pairs.samples(pair, CONFIG.changed(**settings))


def test_a_name_that_is_nothing_is_refused(home):
    with pytest.raises(UsageError, match="There is no run runs/quick/nowhere: check its name, or train it first"):
        pairs.of_models("many_wordings", "runs/quick/nowhere", CONFIG)
    with pytest.raises(UsageError, match="There is no model 'nowhere'"):
        pairs.of_models("many_wordings", "nowhere", CONFIG)
    assert sources.resolve("many_wordings").fingerprint
