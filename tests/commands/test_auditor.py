"""`make audit`: a file without torch, two models, and one sentence for everything else."""

import subprocess
import sys

import pytest

from lib import auditor
from lib.storage import folders
from tests.audit import worlds


@pytest.fixture
def scored(tmp_path):
    path = tmp_path / "scored.parquet"
    worlds.SIX["tempered"].table(60, 8, 0).to_parquet(path)
    return path


def test_a_file_is_audited_without_torch(scored):
    code = f"import sys; from lib import auditor; auditor.main([{str(scored)!r}]); assert 'torch' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folders.ROOT)
    assert result.returncode == 0, result.stderr
    assert "| sharpening | " in result.stdout and "α* = " in result.stdout and "KL(π‖p) = " in result.stdout
    assert "Questions solved at least once" in result.stdout and "pass@8" in result.stdout


def test_where_something_is_refused_the_fallback_is_there(scored, capsys):
    table = worlds.SIX["tempered"].table(60, 2, 0).drop(columns="completion")
    table.to_parquet(scored)
    auditor.main([str(scored)])
    said = capsys.readouterr().out
    assert "Refused, sharpening: " in said and "Not of KL, but of the variance of log π − log p" in said


def test_two_models_are_sampled_and_audited(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "HOME", tmp_path)
    said = auditor.run(["many_wordings", "one_wording", "arithmetic", "problems=4", "samples=4", "load_in_4bit=false"])
    assert "KL(π‖p) = " in said and "4 questions" in said
    assert (tmp_path / "runs" / "audits").is_dir()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Say make audit BASE="),
        (["one_wording", "", ""], "TRAINED and DATA missing. Say make audit BASE="),
        (["one_wording", "many_wordings", "arithmetic", "4"], "'4' is no setting. Say make audit BASE="),
        (["nowhere.parquet"], "There is no file nowhere.parquet"),
        (["one_wording", "nowhere", "arithmetic"], "There is no model 'nowhere'"),
        (["one_wording", "many_wordings", "arithmetic", "sample=3"], "Unknown setting sample .*did you mean samples"),
        (["one_wording", "many_wordings", "arithmetic", "temperature=0.5"], "at temperature 1"),
        (["one_wording", "many_wordings", "arithmetic", "load_in_4bit=maybe"], "choose true or false"),
    ],
)
def test_everything_else_is_one_sentence(arguments, sentence, monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "HOME", tmp_path)
    with pytest.raises(SystemExit, match=sentence):
        auditor.main(arguments)
