"""The doctor's judgement on recorded machines, and its look at this one.

The recordings in tests/commands/machines/ are made up from data sheets, not taken on such machines. In them `packages` are changes
to the tested versions, and `places` says where what is not local is: one word for all, or for some of them by name.
"""

import json
import subprocess
import sys
import time

import pytest

from lib import doctor, profiles, reproduce
from lib.doctor import GIB, SHAPES, Machine
from lib.storage import folders, hub
from lib.storage.errors import UsageError

FOLDER = folders.ROOT / "tests" / "commands" / "machines"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
LOCAL = {"one_wording": "local", "many_wordings": "local", "arithmetic": "local"}
QWEN = "Qwen/Qwen2.5-3B-Instruct"
LLAMA = "meta-llama/Llama-3.2-3B-Instruct"
ALL = {"quick", "gpu24", "gpu48", "gpu80", "paper"}


def recorded(name: str, profile: profiles.Profile) -> Machine:
    values = json.loads((FOLDER / f"{name}.json").read_text())
    given = values["places"]
    places = dict.fromkeys(doctor.needs(profile), given) if isinstance(given, str) else given
    others = dict.fromkeys(doctor.needs(profile), "hub")
    return Machine(**values | {"packages": doctor.pins() | values["packages"], "places": others | places | LOCAL})


def said(name: str, profile: str, **changes) -> tuple[bool, str]:
    loaded = profiles.load(profile)
    findings = doctor.judge(recorded(name, loaded)._replace(**changes), loaded)
    return doctor.can_run(findings), doctor.report(findings, profile)


def with_model(profile: str, model: str) -> profiles.Profile:
    values = profiles.load(profile).model_dump()
    return profiles.Profile(**values | {"runs": [{"model": model, "objective": "task"}]})


RUNS = {  # machine -> the profiles that it can run
    "laptop": {"quick"},
    "rtx4090": ALL,
    "a6000": ALL,
    "h100": ALL,
    "t4": {"quick"},
    "busy_rtx4090": ALL,
    "cpu_torch": {"quick"},
    "full_disk": ALL,
    "offline": {"quick"},
    "no_licence": ALL,
    "other_versions": set(),
}


@pytest.mark.parametrize("name", NAMES)
def test_what_each_recorded_machine_can_run(name):
    assert {profile for profile in ALL if said(name, profile)[0]} == RUNS[name]


def test_every_recording_is_judged():
    assert set(RUNS) == set(NAMES) and len(NAMES) >= 10


@pytest.mark.parametrize(
    ("name", "profile", "sentence"),
    [
        ("laptop", "quick", "ok       It needs no GPU."),
        ("laptop", "quick", "Nothing keeps this machine from running the profile quick."),
        ("laptop", "gpu24", "problem  There is no GPU.\n         Use a machine with one, or a profile without, such as"),
        ("laptop", "gpu24", "This machine CANNOT run the profile gpu24."),
        ("laptop", "gpu24", "GPU memory and time a step takes was measured for some settings: docs/gpu.md"),
        ("cpu_torch", "gpu24", "problem  A GPU driver is there, but this torch cannot use a GPU."),
        ("cpu_torch", "gpu24", "Install torch's CUDA build"),
        ("rtx4090", "gpu24", "ok       NVIDIA GeForce RTX 4090, with 23.1 GiB of memory free."),
        ("rtx4090", "gpu24", "ok       Models and data sets are here or within reach."),
        ("rtx4090", "gpu24", "If memory runs out, lower generation_batch (with vLLM, vllm_memory), token_budget or micro"),
        ("rtx4090", "gpu24", "evaluation halves its batch_size by itself."),
        ("t4", "gpu24", "problem  Tesla T4 has no bfloat16.\n         Use a GPU of compute capability 8.0"),
        ("full_disk", "paper", "GiB of disk (1 are free)."),
        ("offline", "gpu24", f"problem  Not cached, and the hub cannot be reached: {QWEN}, DigitalLearningGmbH/MATH-ligh"),
        ("other_versions", "quick", "problem  Python is 3.10.14.\n         Use 3.11 to 3.13"),
        ("other_versions", "quick", "problem  Not installed: trl.\n         Run make again"),
        ("other_versions", "quick", "note     Other versions than tested: torch 2.11.0+cu130 (tested: "),
    ],
)
def test_it_says_what_is_wrong_and_what_to_do(name, profile, sentence):
    assert sentence in said(name, profile)[1]


@pytest.mark.parametrize(("python", "fine"), [("3.10.14", False), ("3.11.0", True), ("3.13.9", True), ("3.14.0", False)])
def test_the_python_versions(python, fine):
    assert said("laptop", "quick", python=python)[0] is fine


def test_a_build_of_torch_with_another_ending_is_the_tested_version():
    packages = doctor.pins()
    assert "Other versions" not in said("h100", "gpu24", packages=packages | {"torch": packages["torch"] + "+cu130"})[1]


def test_an_estimate_is_a_note_and_never_keeps_a_profile_from_running():
    """Too little memory and disk for anything, and a model of which nothing is known."""
    works, text = said("busy_rtx4090", "paper", gpu_free=GIB, disk_free=0, shapes={QWEN: SHAPES[QWEN]})
    assert works and "problem" not in text
    (line,) = [line for line in text.splitlines() if "GiB of disk" in line]
    assert line.startswith("note") and "rough estimate" in line
    assert "There is no estimate of disk for Qwen/Qwen3-4B-Instruct-2507: no config.json" in text
    assert "GiB of disk" not in said("h100", "gpu24", shapes={})[1]  # nothing to add up


def test_a_gated_model_names_its_licence_and_its_mirror():
    profile = with_model("gpu48", LLAMA)
    findings = doctor.judge(recorded("no_licence", profile), profile)
    assert not doctor.can_run(findings)
    (finding,) = [finding for finding in findings if finding.level == "problem"]
    assert finding.sentence == f"Gated: {LLAMA}."
    assert "Accept the licence on its hub page and log in with `hf auth login`" in finding.advice
    assert "an ungated mirror is unsloth/Llama-3.2-3B-Instruct." in finding.advice
    assert "mirror" not in doctor.report(doctor.judge(recorded("offline", profile), profile), "gpu48")


def test_what_is_missing_is_a_problem_and_what_the_hub_has_is_not():
    """Also a data set that is in no list of the kit."""
    profile = with_model("gpu24", "somebody/their-model")
    found = recorded("h100", profile)
    assert doctor.can_run(doctor.judge(found, profile))
    gone = found._replace(places=found.places | {"somebody/their-model": "missing"})
    findings = doctor.judge(gone, profile)
    assert "problem  Not there, or private: somebody/their-model." in doctor.report(findings, "gpu24")
    assert not doctor.can_run(findings)


def test_a_profile_needs_its_models_and_all_its_data():
    assert doctor.needs(profiles.load("gpu24")) == {
        QWEN: "model",
        "DigitalLearningGmbH/MATH-lighteval": "dataset",
        "HuggingFaceH4/MATH-500": "dataset",
        "math-ai/minervamath": "dataset",
    }
    assert doctor.needs(profiles.load("quick")) == {"one_wording": "model", "many_wordings": "model", "arithmetic": "dataset"}


# Looking


def test_places_are_told_apart(monkeypatch, tmp_path):
    """The hub is asked for what is not here, and for nothing else; all at once."""
    answers = {"o/gated": "gated", "o/gone": "missing", "o/away": "unreachable", "o/here": "cached", "o/known": "hub"}
    answers |= {"o/rows": "hub", "openai/gsm8k": "unreachable"}
    asked = []

    def find(name, kind="model", revision=None):
        asked.append((name, kind))
        time.sleep(0.3)
        return hub.Found(answers[name], "c0ffee" if answers[name] in ("hub", "cached") else None)

    monkeypatch.setattr(hub, "find", find)
    (tmp_path / "rows.jsonl").touch()
    expected = {name: ("dataset" if name in ("o/rows", "openai/gsm8k") else "model", answers[name]) for name in answers}
    expected |= {"one_wording": ("model", "local"), str(tmp_path): ("model", "local"), "./nope": ("model", "missing")}
    expected |= {"arithmetic": ("dataset", "local"), str(tmp_path / "rows.jsonl"): ("dataset", "local")}
    expected |= {str(tmp_path / "no.jsonl"): ("dataset", "missing"), "reasoning-gym/chain_sum": ("dataset", "local")}
    started = time.monotonic()
    found = doctor.look({name: kind for name, (kind, _) in expected.items()})
    assert time.monotonic() - started < 0.3 * len(answers)
    assert found.places == {name: place for name, (_, place) in expected.items()}
    assert sorted(asked) == sorted((name, expected[name][0]) for name in answers)


def test_this_machine_is_seen_as_it_is():
    found = doctor.look({"one_wording": "model", "arithmetic": "dataset"})
    assert found.python == ".".join(map(str, sys.version_info[:3])) and found.disk_free > 0
    assert found.packages.keys() == doctor.pins().keys() and None not in found.packages.values()
    assert found.packages["PyYAML"] and found.packages["unsloth_zoo"]  # spelt in another way in their own metadata


def test_free_memory_is_what_this_process_may_take(monkeypatch):
    import torch

    monkeypatch.setattr(doctor.loading, "gpu_is_there", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A card")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (60 * GIB, 80 * GIB))
    for share, free in ((1.0, 60), (0.5, 40)):
        monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda share=share: share)
        found = doctor.look({"one_wording": "model"})
        assert (found.gpu, found.gpu_free, found.bfloat16) == ("A card", free * GIB, True)


def test_the_command_says_it_with_its_exit_status():
    """The hub is not asked, since the quick profile needs nothing of it."""
    for profile, status in (("quick", 0), ("nope", 1)):
        command = [sys.executable, "-m", "lib.doctor", profile]
        result = subprocess.run(command, cwd=folders.ROOT, capture_output=True, text=True)
        assert result.returncode == status, result.stdout + result.stderr
    assert "There is no profile 'nope'" in result.stderr and "Traceback" not in result.stderr


def test_a_gpu_profile_is_refused_before_it_starts_for_facts_alone(monkeypatch, capsys):
    def examine(machine: str):
        return lambda name: doctor.judge(recorded(machine, profiles.load(name)), profiles.load(name))

    monkeypatch.setattr(reproduce.os, "execvp", lambda *_: pytest.fail("Snakemake was started"))
    monkeypatch.setattr(doctor, "examine", examine("laptop"))
    with pytest.raises(UsageError, match="Nothing was started"):
        reproduce.reproduce("gpu24", [])
    assert "There is no GPU" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "examine", examine("busy_rtx4090"))
    reproduce._examine("gpu80")
    assert "Nothing keeps this machine from running the profile gpu80." in capsys.readouterr().out


# Estimates

PUBLISHED = {  # config.json, as far as it says what shape a model has
    QWEN: {"model_type": "qwen2", "num_hidden_layers": 36, "hidden_size": 2048, "intermediate_size": 11_008}
    | {"num_attention_heads": 16, "num_key_value_heads": 2, "vocab_size": 151_936, "tie_word_embeddings": True},
    "Qwen/Qwen3-4B-Instruct-2507": {"model_type": "qwen3", "num_hidden_layers": 36, "hidden_size": 2560}
    | {"intermediate_size": 9728, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}
    | {"vocab_size": 151_936, "tie_word_embeddings": True},
    "unsloth/Llama-3.2-3B-Instruct": {"model_type": "llama", "num_hidden_layers": 28, "hidden_size": 3072}
    | {"intermediate_size": 8192, "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128}
    | {"vocab_size": 128_256, "tie_word_embeddings": True},
    "small": {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 160}
    | {"num_attention_heads": 4, "vocab_size": 64, "tie_word_embeddings": False},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_adapter_is_that_of_the_real_architecture(name, tmp_path):
    """Against PEFT on the meta device, which allocates nothing."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[name]))
    shape = doctor._shape(str(tmp_path), None)
    assert shape == SHAPES.get(name, shape) is not None
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**PUBLISHED[name]))
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules=doctor.loading.LORA_TARGETS))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert doctor.adapter_parameters(shape, 4) == trained


def test_a_config_of_another_kind_or_nowhere_has_no_shape(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text('{"model_type": "gemma3"}')
    assert doctor._shape(str(tmp_path), None) is None and doctor._shape(str(tmp_path / "nope"), None) is None
    assert doctor._shape("owner/name", "c0ffee") is None  # known to the hub, not downloaded
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[QWEN]))
    cached = {"c0ffee": str(tmp_path / "config.json")}
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda name, file, revision: cached.get(revision))
    assert doctor._shape("owner/name", "c0ffee") == SHAPES[QWEN] and doctor._shape("owner/name", "0ld") is None


def test_disk_by_hand():
    """gpu24: five runs, six checkpoints each, float32 with two moments."""
    disk = 5 * 6 * 12 * doctor.adapter_parameters(SHAPES[QWEN], 32)
    assert f"checkpoints take {disk / GIB:.0f} GiB of disk" in said("rtx4090", "gpu24")[1]
