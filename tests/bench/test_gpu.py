"""The GPU benchmark's logic, on a CPU: the parts of a step, what is saved and skipped, ratios, errors."""

import dataclasses
import subprocess
import sys

import pytest
import transformers

from lib.models import loading, sources, tokens
from lib.storage import files, folders
from tests.bench import gpu

TINY = gpu.Case("one_wording", "tempered", "unsloth", None, 96, 8, 1, 2, 4)


def test_a_case_measures_a_step_and_its_parts_sum_to_it():
    found = gpu.run_case(TINY, 300)
    assert "error" not in found, found
    assert set(found["parts"]) == set(gpu.PARTS)
    assert sum(found["parts"].values()) == pytest.approx(found["seconds"], abs=1e-6)
    for part in ("generation", "likelihood", "loss", "update"):
        assert found["parts"][part] > 0, part
    assert abs(found["parts"]["other"]) < 0.5 * found["seconds"]
    assert found["tokens_per_step"] > 8


def test_what_fails_is_recorded_and_what_is_there_is_skipped(tmp_path):
    failing = dataclasses.replace(TINY, model="two_wordings")
    assert "two_wordings" in gpu.run_case(failing, 300)["error"]
    asked = []

    def run(case, _seconds):
        asked.append(case.name)
        if case.cap == 48:
            return {"error": "out of memory"}
        seconds = 2.0 if case.objective == "tempered" else 1.6
        memory = {"unsloth": 6.0, "plain": 10.0}[case.backend]
        return {"seconds": seconds * memory, "peak_gib": memory}

    cases = [
        gpu.Case("m", "tempered", "unsloth"),
        gpu.Case("m", "task", "unsloth"),
        gpu.Case("m", "tempered", "plain"),
        gpu.Case("m", "tempered", "unsloth", 48),
    ]
    out = tmp_path / "gpu.json"
    found = gpu.run_all(cases, out, False, 1, run)
    assert len(asked) == 4 and found["cases"][cases[3].name]["result"] == {"error": "out of memory"}
    assert found == files.read_json(out) and found["environment"]["packages"]["torch"]
    made = found["ratios"]
    assert made[f"seconds: {cases[0].name} / task"] == pytest.approx(1.25)
    assert made[f"seconds: {cases[0].name} / plain"] == made[f"memory: {cases[0].name} / plain"] == pytest.approx(0.6)
    assert not [name for name in made if "48" in name]
    gpu.run_all(cases, out, False, 1, run)
    assert len(asked) == 4
    gpu.run_all(cases[:1], out, True, 1, run)
    assert len(asked) == 5


def test_random_weights_in_a_shape_load_train_and_have_a_tokenizer_of_their_size(tmp_path, monkeypatch):
    """The 3 B shapes made small: the same code builds them, and a case runs on them."""
    small = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 300}
    small |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    for model in (gpu.QWEN, gpu.LLAMA):
        shape = {k: v for k, v in gpu.CONFIGS[model].items() if k != "head_dim"} | small
        folder = gpu.build(shape, tmp_path / model)
        config = files.read_json(folder / "config.json")
        assert config["model_type"] == shape["model_type"] and config["vocab_size"] == 300
        loaded, tokenizer = loading.load(sources.resolve(str(folder)), 64)
        assert len(tokenizer) == 300 and tokenizer.pad_token_id != tokenizer.eos_token_id
        assert len(tokens.prompt_ids(tokenizer, [[{"role": "user", "content": "12+34"}]])[0]) < gpu.PROMPT
    case = dataclasses.replace(TINY, model=str(folder))
    monkeypatch.setattr(gpu, "weights_of", lambda model: str(folder))
    settings = gpu.settings_of(case)
    assert settings.model == str(folder) and settings.max_prompt_tokens + settings.max_completion_tokens == 96


def test_weights_that_were_not_written_to_their_end_do_not_count(tmp_path, monkeypatch):
    """A build that breaks off leaves no folder; the next one does not mind what it left; a case reports what broke."""
    shape = dict(gpu.CONFIGS[gpu.QWEN], hidden_size=64, intermediate_size=96, num_hidden_layers=1, vocab_size=300)
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    folder = tmp_path / "weights"

    def full(*_arguments, **_keywords):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(transformers.PreTrainedTokenizerFast, "save_pretrained", full)
        gpu.build(shape, folder)
    assert not folder.exists() and list(tmp_path.iterdir())
    assert gpu.build(shape, folder) == folder
    assert [path.name for path in tmp_path.iterdir()] == ["weights"] and (folder / "tokenizer.json").exists()

    monkeypatch.setattr(gpu, "WEIGHTS", tmp_path / "none")
    monkeypatch.setattr(gpu, "_call", lambda arguments, _: ("", "disk full") if arguments[0] == "build" else ("", None))
    assert gpu.run_case(dataclasses.replace(TINY, model=gpu.QWEN), 1) == {"error": "building the weights: disk full"}


def test_the_cases_are_those_of_the_issue():
    cases = gpu.cases()
    assert len({case.name for case in cases}) == len(cases)
    full = [c for c in cases if c.tokens == 2048 and c.prompts == c.completions == 8]
    assert {(c.cap) for c in full} == {24, 48} and {c.model for c in full} == {gpu.QWEN, gpu.LLAMA}
    assert {c.backend for c in full} == {"unsloth", "plain"} and {c.objective for c in full} == {"task", "tempered"}


def test_the_page_has_the_measured_numbers():
    """Each row of the table in docs/gpu.md, from the committed measurements of `tempered`."""
    measured = files.read_json(folders.ROOT / "data" / "results" / "gpu" / "nvidia-h100-80gb-hbm3.json")["cases"].values()
    page = (folders.ROOT / "docs" / "gpu.md").read_text()
    rows = [row for row in measured if row["case"]["objective"] == "tempered" and "error" not in row["result"]]
    assert len(rows) >= 5
    for row in rows:
        case, result = row["case"], row["result"]
        model = case["model"].split("/")[-1]
        places = 2 if model == "one_wording" else 1
        seconds = [f"{value:.{places}f} s" for value in (result["seconds"], result["parts"]["generation"])]
        shown = [model, case["backend"], f"{case['tokens']:,}", *seconds, f"{result['peak_gib']:.1f} GiB"]
        assert f"| {' | '.join(shown)} |" in page


def test_without_a_gpu_it_says_so():
    if loading.gpu_is_there():
        pytest.skip("there is a GPU")
    result = subprocess.run([sys.executable, "-m", "tests.bench.gpu"], cwd=folders.ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and "There is no GPU here" in result.stderr
