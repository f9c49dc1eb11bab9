"""The doctor's judgement on recorded machines, and its look at this one.

The recordings in tests/machines/ are constructed from data sheets, not taken on such machines. In them "as pinned" stands for the
tested versions, "known shapes" for the configurations of `memory.SHAPES`; packages are changes to the tested ones.
"""

import dataclasses
import json
import subprocess
import sys

import pytest

from lib import doctor, evaluate, hours, machine, memory, reproduce, runs
from lib.machine import Machine
from lib.runs import UsageError

FOLDER = runs.ROOT / "tests" / "machines"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def recorded(name: str) -> Machine:
    values = json.loads((FOLDER / f"{name}.json").read_text())
    changed = {} if values["packages"] == "as pinned" else values["packages"]
    return Machine(**values | {"packages": machine.pins() | changed, "configs": dict(memory.SHAPES)})


def said(name: str, profile: str) -> tuple[bool, str]:
    findings = doctor.judge(recorded(name), profile)
    return doctor.can_run(findings), doctor.report(findings, profile)


RUNS = {  # machine -> the profiles that it can run, of these four
    "laptop": {"quick"},
    "rtx4090": {"quick", "gpu24"},
    "a6000": {"quick", "gpu24", "gpu48", "gpu80"},
    "h100": {"quick", "gpu24", "gpu48", "gpu80"},
    "t4": {"quick"},
    "two_h200": {"quick", "gpu24", "gpu48", "gpu80"},
    "busy_rtx4090": {"quick"},
    "cpu_torch": {"quick"},
    "full_disk": {"quick"},
    "offline": {"quick"},
    "no_licence": {"quick", "gpu24", "gpu48", "gpu80"},
    "other_versions": set(),
}


@pytest.mark.parametrize("name", NAMES)
def test_what_each_recorded_machine_can_run(name):
    profiles = ("quick", "gpu24", "gpu48", "gpu80")
    assert {profile for profile in profiles if said(name, profile)[0]} == RUNS[name]


def test_every_recording_is_judged():
    assert set(RUNS) == set(NAMES) and len(NAMES) >= 10


@pytest.mark.parametrize(
    ("name", "profile", "sentence"),
    [
        (
            "laptop",
            "gpu24",
            "PROBLEM  There is no GPU. Use a machine with one, or a profile without: cpu, forecast, quick",
        ),
        ("laptop", "quick", "It needs no GPU."),
        ("rtx4090", "quick", "profiles that would fit into its free memory: gpu24."),
        ("busy_rtx4090", "quick", "profiles that would fit into its free memory: none."),
        ("cpu_torch", "gpu24", "There is a GPU, but this build of torch cannot use it. Install the CUDA build"),
        ("rtx4090", "gpu24", "is predicted to take 10.9 GiB at the peak"),  # the README says so
        ("rtx4090", "gpu24", "GPU-hours, by data sheets; nothing was measured. vLLM makes generation faster"),
        ("rtx4090", "gpu80", "but 23.1 GiB of GPU memory are free: "),
        ("rtx4090", "gpu80", "These profiles fit: gpu24."),
        ("busy_rtx4090", "gpu24", "No GPU profile fits: free memory, or take a larger GPU."),
        ("t4", "gpu24", "Tesla T4 has no bfloat16, which training uses. Use a GPU of compute capability 8.0"),
        ("t4", "gpu24", "A job may take 16 GiB of memory, but 12 are there."),
        ("two_h200", "gpu80", "Of 2 GPUs a job uses one. CUDA_VISIBLE_DEVICES says which."),
        ("full_disk", "gpu48", "but 1.0 are free. Free some, or set KIT_HOME to a larger disk."),
        ("full_disk", "gpu48", "Weights of 6.0 GiB are to come, but 2.0 GiB are free for them. Set HF_HOME"),
        (
            "offline",
            "gpu24",
            "The hub cannot be reached for Qwen/Qwen2.5-3B-Instruct, DigitalLearningGmbH/MATH-lighteval",
        ),
        ("other_versions", "quick", "Python is 3.10.14. Use 3.11 to 3.13"),
        ("other_versions", "quick", "Not installed: trl."),
        ("other_versions", "quick", "note     Other versions than tested: torch 2.11.0+cu130 (tested: 2.13.0)."),
        ("h100", "gpu80", "This machine can run the profile gpu80."),
    ],
)
def test_it_says_what_is_wrong_and_what_to_do(name, profile, sentence):
    assert sentence in said(name, profile)[1]


@pytest.mark.parametrize(("name", "profile"), [("rtx4090", "gpu24"), ("a6000", "gpu48"), ("h100", "gpu80")])
@pytest.mark.parametrize("vllm", [False, True])
def test_a_gpu_profile_fits_its_card_and_takes_about_a_day(name, profile, vllm):
    found = dataclasses.replace(recorded(name), vllm=vllm)
    assert doctor.can_run(doctor.judge(found, profile))
    fewest, most = hours.of_profile(profile, found.configs, found.gpu, vllm)
    assert (fewest * most) ** 0.5 <= 24 or (profile == "gpu80" and not vllm)  # the paper's own batch is for vLLM


def test_the_papers_largest_steps_are_generated_in_parts(monkeypatch):
    """512 completions of 4,096 tokens at once are 300 GiB of keys and values; vLLM takes them as they fit."""
    alone = dataclasses.replace(recorded("h100"), vllm=False)
    assert doctor.can_run(doctor.judge(alone, "paper")) and said("h100", "paper")[0]
    described = runs.load_profile("paper")
    qwen3 = described["by_model"]["Qwen/Qwen3-4B-Instruct-2507"]
    del qwen3["train"]["generation_batch"]
    monkeypatch.setattr(runs, "load_profile", lambda _: described)
    told = doctor.report(doctor.judge(alone, "paper"), "paper")
    assert "generation 316" in told and "the largest setting that fits is generation_batch 64" in told
    assert doctor.can_run(doctor.judge(recorded("h100"), "paper"))


def test_an_evaluation_that_does_not_fit_is_found_before_training(monkeypatch):
    described = runs.load_profile("gpu24")
    described["evaluate"]["batch_size"] = 512
    monkeypatch.setattr(runs, "load_profile", lambda _: described)
    told = doctor.report(doctor.judge(recorded("rtx4090"), "gpu24"), "gpu24")
    assert "PROBLEM  Evaluating Qwen/Qwen2.5-3B-Instruct on HuggingFaceH4/MATH-500 is predicted to take 6" in told
    assert "the largest setting that fits is batch_size 128" in told and "CANNOT" in told


def test_a_gated_model_names_its_licence_and_its_mirror(monkeypatch):
    described = runs.load_profile("gpu48")
    gated = [run | {"model": "meta-llama/Llama-3.2-3B-Instruct"} for run in described["runs"]]
    monkeypatch.setattr(runs, "load_profile", lambda _: described | {"runs": gated})
    works, text = said("no_licence", "gpu48")
    assert not works and "PROBLEM  meta-llama/Llama-3.2-3B-Instruct is gated. Accept the licence" in text
    assert "hf auth login" in text and "the ungated mirror unsloth/Llama-3.2-3B-Instruct" in text


def test_this_machine_can_run_the_quick_profile_and_the_exit_status_says_so():
    """The hub is not asked, since the quick profile needs nothing of it."""
    for profile, status in (("quick", 0), ("nope", 1)):
        command = [sys.executable, "-m", "lib.doctor", profile]
        result = subprocess.run(command, cwd=runs.ROOT, capture_output=True, text=True)
        assert result.returncode == status, result.stdout + result.stderr
    assert "There is no profile 'nope'" in result.stderr and "Traceback" not in result.stderr


def test_a_model_of_another_kind_is_not_held_up(monkeypatch):
    """Nothing is known about its memory: that is said, and it may be tried."""
    name = "unsloth/Llama-3.2-3B-Instruct"
    found = dataclasses.replace(recorded("h100"), configs={name: {"model_type": "gemma3"}})
    findings = doctor.judge(found, "gpu48")
    assert doctor.can_run(findings) and f"The memory that {name} takes is not known" in doctor.report(findings, "gpu48")


def test_a_gpu_profile_is_refused_before_it_starts(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda profile: doctor.judge(recorded("laptop"), profile))
    monkeypatch.setattr(reproduce.os, "execvp", lambda *_: pytest.fail("Snakemake was started"))
    with pytest.raises(UsageError, match="Nothing was started"):
        reproduce.reproduce("gpu24", [])
    assert "There is no GPU" in capsys.readouterr().out


def test_hours_by_hand():
    """A step on an RTX 4090, summed here from the data sheet: 1,536 passes, and six forwards of the tokens."""
    from lib import train

    name = "Qwen/Qwen2.5-3B-Instruct"
    chosen, on = train.settings("gpu24", model=name, regime="task"), hours.card("NVIDIA GeForce RTX 4090")
    assert on == hours.Card(165, 1008) and hours.card("GeForce GTX 1080") is None
    config = memory.SHAPES[name]
    arithmetic = 2 * 3_085_938_688 * 64 * (512 + 0.4 * 1536) * 6 / (165e12 * 0.3)
    assert hours.of_step(config, chosen, on, "huggingface") == pytest.approx(1536 * 0.04 + arithmetic, rel=1e-3)
    assert hours.of_step(config, chosen, on, "vllm") < hours.of_step(config, chosen, on, "huggingface")
    parts = dataclasses.replace(chosen, generation_batch=24)  # 24, 24 and 16 of 64
    assert hours.of_step(config, parts, on, "huggingface") == pytest.approx(3 * 1536 * 0.04 + arithmetic, rel=1e-3)
    assert hours.of_step(config, parts, on, "vllm") == hours.of_step(config, chosen, on, "vllm")
    low, high = hours.of_profile("gpu24", {name: config}, "NVIDIA GeForce RTX 4090", vllm=False)
    assert high == pytest.approx(4 * low) and 2 < low < 24 < high < 100
    (first, second), step = evaluate.plans("gpu24", name), hours.of_step(config, chosen, on, "huggingface")
    tokens = 500 * 5 * (512 + 0.4 * 1536)
    by_hand = 500 * 5 / 64 * 1536 * 0.04 + 2 * 3_085_938_688 * tokens * 2 / (165e12 * 0.3)
    each = hours.of_evaluation(config, chosen, first, on, "huggingface")
    assert each == pytest.approx(by_hand, rel=1e-3) == hours.of_evaluation(config, chosen, second, on, "huggingface")
    assert (low * high) ** 0.5 * 3600 == pytest.approx(5 * 80 * step + 6 * 2 * each)  # five runs and their base, twice
    assert hours.of_profile("gpu24", {name: config}, "GeForce GTX 1080", vllm=False) is None


def test_places_are_told_apart(monkeypatch, tmp_path):
    import huggingface_hub
    import requests
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    response = requests.Response()
    answers = {
        "o/gated": GatedRepoError("x", response=response),
        "o/gone": RepositoryNotFoundError("x", response=response),
    }
    answers["o/away"] = requests.exceptions.ConnectTimeout("no route")

    def auth_check(name, **_keywords):
        if name in answers:
            raise answers[name]

    monkeypatch.setattr(huggingface_hub, "auth_check", auth_check)
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda *_a, **_k: None)
    places, configs = machine._places(
        ["o/gated", "o/gone", "o/away", "one_wording"], ["arithmetic", str(tmp_path), "openai/gsm8k"]
    )
    assert list(places.values()) == ["gated", "missing", "unreachable", "local", "local", "local", "hub"]
    assert configs["one_wording"]["model_type"] == "llama" and "o/gone" not in configs
