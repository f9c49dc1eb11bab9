"""Finding and loading models: every refusal comes before anything is loaded."""

import json
import subprocess
import sys

import huggingface_hub
import pytest
import requests

from lib.models import loading, sources, tiny, tokens
from lib.models.scoring import sequence_scores
from lib.storage.errors import UsageError
from lib.storage.folders import ROOT


def test_bases_and_folders_resolve(tmp_path):
    assert sources.resolve("many_wordings").path == str(tiny.BASES["many_wordings"])
    (tmp_path / "config.json").write_text("{}")
    assert sources.resolve(str(tmp_path)).path == str(tmp_path)


@pytest.mark.parametrize("name", ["three_wordings", "./nowhere", "/no/such/model", "a/b/c"])
def test_a_model_that_does_not_exist_is_refused_with_the_choices(name):
    with pytest.raises(UsageError, match="There is no model .*one_wording, many_wordings"):
        sources.resolve(name)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no model"):
        sources.resolve(str(tmp_path))


PLAIN = """
import json, sys
from lib.models import loading
from lib.models import sources
from lib.models import tokens
from lib.models.scoring import sequence_scores
model, tokenizer = loading.load(sources.resolve("many_wordings"), 96, backend="plain")
model = loading.add_adapter(model, 4, 8, 0, backend="plain")
batch = json.loads(sys.argv[1])
scores = [sequence_scores(model, *batch, tokenizer.pad_token_id, reference=off).logprob.tolist() for off in (False, True)]
assert not [name for name in sys.modules if name.startswith("unsloth")], "Unsloth was imported"
print(json.dumps(scores))
"""

PREPARED = """
import torch
from accelerate import Accelerator
from lib.models import scoring
from lib.models import loading
from lib.models import sources
from lib.models import tokens
model, _ = loading.load(sources.resolve("many_wordings"), 96, load_in_4bit=False, backend="plain")
model = loading.add_adapter(model.bfloat16(), 4, 8, 0, backend="plain")
model = Accelerator(mixed_precision="bf16", cpu=True).prepare_model(model)  # what a trainer does with bf16
ids = torch.tensor([[1, 5, 6, 7]])
wrapped = model(input_ids=ids).logits
assert wrapped.dtype == torch.float32, f"the trap is gone: {wrapped.dtype}"
for passes in (scoring._read_once, scoring._read_whole):
    ours, _ = passes(model, [[1, 5]], [[6, 7]], 0)
    assert ours.dtype == torch.bfloat16, ours.dtype
"""


def test_scoring_a_prepared_model_makes_no_float32_copy_of_all_logits():
    result = subprocess.run([sys.executable, "-c", PREPARED], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_plain_backend_is_the_same_model_without_unsloth(policy):
    model, tokenizer = policy
    batch = [[1, 5, 6, 7], [1, 8, 9]], [[10, 11, 12], [13, 14, 15, 16]]
    result = subprocess.run([sys.executable, "-c", PLAIN, json.dumps(batch)], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    own, reference = json.loads(result.stdout.splitlines()[-1])
    assert own == reference
    ours = sequence_scores(model, *batch, tokenizer.pad_token_id, reference=True).logprob
    assert reference == pytest.approx(ours.tolist(), rel=0.02)  # bitsandbytes' CPU kernel is coarser than Unsloth's float32


def _hub_says(monkeypatch, error):
    def repo_info(*_arguments, **_keywords):
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", repo_info)


def test_an_unreachable_hub_is_said_and_the_offline_choice_named(monkeypatch):
    _hub_says(monkeypatch, requests.exceptions.ConnectTimeout("no route"))
    with pytest.raises(UsageError, match="hub cannot be reached .*offline; .*one_wording"):
        sources.resolve("Qwen/Qwen2.5-3B-Instruct")


def test_the_offline_switch_counts_as_unreachable():
    with pytest.raises(UsageError, match="hub cannot be reached"):
        sources.resolve("Qwen/Qwen2.5-3B-Instruct")


def test_what_the_hub_does_not_have_or_gates_is_said(monkeypatch):
    response = requests.Response()
    response.status_code = 404
    _hub_says(monkeypatch, huggingface_hub.errors.RepositoryNotFoundError("gone", response=response))
    with pytest.raises(UsageError, match="There is no model 'owner/nothing' on the hub"):
        sources.resolve("owner/nothing")
    _hub_says(monkeypatch, huggingface_hub.errors.GatedRepoError("gated", response=response))
    with pytest.raises(UsageError, match="owner/gated is gated: accept its terms"):
        sources.resolve("owner/gated")


def test_prompt_ids_are_the_chat_template(base):
    _, tokenizer = base
    ids = tokens.prompt_ids(tokenizer, [[{"role": "user", "content": "1+2"}]])
    assert tokenizer.decode(ids[0]) == "<bos><user>1+2<assistant>"


def test_padding_by_eos_is_refused(tmp_path):
    tokenizer = tiny.build_tokenizer()
    tokenizer.pad_token = "<eos>"
    tiny.build_model().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="pads with its EOS token"):
        loading.load(sources.resolve(str(tmp_path)), 64)


def test_an_adapter_survives_saving_and_loading(tmp_path):
    """The reloaded adapter gives the very log-probabilities that were there before, on the same quantised base."""
    import torch

    source = sources.resolve("one_wording")
    model, tokenizer = loading.load(source, 64)
    model = loading.add_adapter(model, rank=4, alpha=8, seed=0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    batch = [[1, 4, 7, 16, 8, 5]], [[28, 9, 29, 2]], tokenizer.pad_token_id
    before = sequence_scores(model, *batch)
    model.save_pretrained(tmp_path)
    fresh, _ = loading.load(source, 64)
    again = loading.load_adapter(fresh, tokenizer, tmp_path)
    assert sequence_scores(again, *batch).logprob == before.logprob
    assert sequence_scores(again, *batch, reference=True).logprob != before.logprob


def test_a_missing_adapter_is_refused(policy, tmp_path):
    with pytest.raises(UsageError, match="There is no adapter"):
        loading.load_adapter(*policy, tmp_path)
