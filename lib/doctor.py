"""Can this machine run a profile, and if not, what has to change? `python -m lib.doctor PROFILE`, or `make doctor`.

Judging is apart from looking (`lib.machine`), so that recorded machines can be judged, too. Exit status 0 only if it can.
"""

import itertools
import sys
from typing import NamedTuple

from lib import evaluate, fitting, hours, machine, memory, models, runs, tiny, train
from lib.machine import Machine
from lib.memory import GIB
from lib.runs import UsageError

PYTHONS = ((3, 11), (3, 13))
SAMPLES = 0.5 * GIB  # assumed: disk of a run's completions and evaluations
MIRRORS = {"meta-llama/Llama-3.2-3B-Instruct": "unsloth/Llama-3.2-3B-Instruct"}
HEADS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


class Finding(NamedTuple):
    """`level` is ok, note (it will run), or problem (it will not); `advice` says what to do, if there is something."""

    level: str
    sentence: str
    advice: str = ""


def judge(found: Machine, profile: str) -> list[Finding]:
    """What a machine means for a profile, one finding or more for each thing it needs."""
    described = runs.load_profile(profile)
    findings = [*_software(found), *_hub(found, profile)]
    findings += _gpu(found, described, profile) if runs.needs_gpu(described) else _no_gpu(found)
    return [*findings, *_room(found, described, profile)]


def can_run(findings: list[Finding]) -> bool:
    """Whether nothing found is a problem."""
    return all(finding.level != "problem" for finding in findings)


def _software(found: Machine) -> list[Finding]:
    version = tuple(int(part) for part in found.python.split(".")[:2])
    findings = []
    if not PYTHONS[0] <= version <= PYTHONS[1]:
        findings.append(Finding("problem", f"Python is {found.python}.", "Use 3.11 to 3.13: make PYTHON=python3.12 …"))
    wanted = machine.pins()
    missing = [name for name in wanted if found.packages.get(name) is None]
    other = {n: v for n, v in found.packages.items() if v and n in wanted and v.split("+")[0] != wanted[n]}
    if missing:
        findings.append(
            Finding("problem", f"Not installed: {', '.join(missing)}.", "Run make again: it installs them.")
        )
    if other:
        said = ", ".join(f"{name} {version} (tested: {wanted[name]})" for name, version in other.items())
        findings.append(Finding("note", f"Other versions than tested: {said}.", "Delete .venv and run make again."))
    return findings or [Finding("ok", f"Python {found.python} and {len(wanted)} packages are as tested.")]


def _hub(found: Machine, profile: str) -> list[Finding]:
    """Where the models and data sets are; what cannot be had is a problem."""
    findings, away = [], []
    for name in itertools.chain(*needs(profile)):
        place = found.places.get(name, "unreachable")
        if place == "gated":
            mirror = f", or use the ungated mirror {MIRRORS[name]}" if name in MIRRORS else ""
            advice = f"Accept the licence on its hub page and log in with `hf auth login`{mirror}."
            findings.append(Finding("problem", f"{name} is gated.", advice))
        elif place == "missing":
            findings.append(Finding("problem", f"There is no {name}.", "Check its name in the profile."))
        elif place == "unreachable":
            away.append(name)
    if away:
        advice = "Connect, or download them once while connected."
        findings.append(Finding("problem", f"The hub cannot be reached for {', '.join(away)}.", advice))
    return findings or [Finding("ok", "Models and data sets are here or within reach.")]


def needs(profile: str) -> tuple[list[str], list[str]]:
    """(models, data sets) of a profile, for training and evaluation."""
    described = runs.load_profile(profile)
    names = runs.profile_models(described)
    data: dict[str, None] = {}
    for model in names:
        chosen = train.settings(profile, model=model, regime="task")
        sets = [chosen.data, chosen.overlap_with, *(how.data for how in evaluate.plans(profile, model))]
        data |= dict.fromkeys(name for name in sets if name)
    return names, list(data)


def _no_gpu(found: Machine) -> list[Finding]:
    """It runs anywhere; on a GPU, which of the other profiles would fit."""
    findings = [Finding("ok", "It needs no GPU.")]
    if found.gpu is not None:
        fits = ", ".join(name for name in profiles() if _would_fit(found, name)) or "none"
        findings.append(Finding("note", f"{found.gpu} is there; profiles that would fit into its free memory: {fits}."))
    return findings


def _gpu(found: Machine, described: dict, profile: str) -> list[Finding]:
    if found.gpu is None:
        if found.driver:
            advice = (
                "Install the CUDA build of torch: delete .venv, unset indexes that offer a CPU build, run make again."
            )
            return [Finding("problem", "There is a GPU, but this build of torch cannot use it.", advice)]
        advice = f"Use a machine with one, or a profile without: {', '.join(_cpu_profiles())}."
        return [Finding("problem", "There is no GPU.", advice)]
    findings = [Finding("ok", f"{found.gpu}: {found.gpu_free / GIB:.1f} of {found.gpu_memory / GIB:.1f} GiB free.")]
    if found.gpus > 1:
        findings.append(Finding("note", f"Of {found.gpus} GPUs a job uses one.", "CUDA_VISIBLE_DEVICES says which."))
    if not found.bfloat16:
        advice = "Use a GPU of compute capability 8.0 or later."
        findings.append(Finding("problem", f"{found.gpu} has no bfloat16, which training uses.", advice))
    findings += [_fits(found, profile, model) for model in runs.profile_models(described)]
    expected = hours.of_profile(profile, found.configs, found.gpu, found.vllm) if _known(found, described) else None
    if expected is not None:
        sentence = f"Roughly {expected[0]:,.0f} to {expected[1]:,.0f} GPU-hours, by data sheets; nothing was measured."
        findings.append(
            Finding("note", sentence, "" if found.vllm else "vLLM makes generation faster: requirements-vllm.txt.")
        )
    return findings


def _known(found: Machine, described: dict) -> bool:
    """Whether the shapes of all models are known, and of a kind that can be reckoned with."""
    configs = [found.configs.get(model, {}) for model in runs.profile_models(described)]
    return all(config.get("model_type") in memory.KINDS for config in configs)


def _fits(found: Machine, profile: str, model: str) -> Finding:
    """Whether a model's runs fit into what is free of the GPU."""
    if found.configs.get(model, {}).get("model_type") not in memory.KINDS:
        return Finding(
            "note",
            f"The memory that {model} takes is not known: its configuration cannot be read, or is new to this kit.",
        )
    try:
        predicted = [fitting.refuse_what_does_not_fit(*job) for job in _jobs(found, profile, model)]
    except UsageError as error:
        others = [name for name in profiles() if name != profile and _would_fit(found, name)]
        advice = (
            f"These profiles fit: {', '.join(others)}."
            if others
            else "No GPU profile fits: free memory, or take a larger GPU."
        )
        return Finding("problem", str(error), advice)
    return Finding("ok", f"Training {model} is predicted to take {predicted[0].describe()}.")


def _jobs(found: Machine, profile: str, model: str) -> list[tuple]:
    """What a profile does with a model on its GPU, training first: arguments of `fitting.refuse_what_does_not_fit`."""
    chosen = train.settings(profile, model=model, regime="task")
    config = found.configs.get(model) or memory.SHAPES[model]
    plans = evaluate.plans(profile, model)
    on = found.gpu_memory if found.vllm else 0
    training = (f"Training {model}", config, chosen, found.gpu_free, on if chosen.engine != "huggingface" else 0)
    return [training] + [(f"Evaluating {model} on {how.data}", config, how, found.gpu_free, on) for how in plans]


def profiles() -> list[str]:
    """The names of all profiles."""
    return sorted(path.stem for path in (runs.ROOT / "profiles").glob("*.yaml"))


def _cpu_profiles() -> list[str]:
    return [name for name in profiles() if not runs.needs_gpu(runs.load_profile(name))]


def _would_fit(found: Machine, profile: str) -> bool:
    """Whether every model of a GPU profile would fit into the free memory; shapes that the kit knows are enough."""
    described = runs.load_profile(profile)
    names = runs.profile_models(described)
    if not runs.needs_gpu(described) or not all(name in memory.SHAPES for name in names):
        return False
    jobs = [job for name in names for job in _jobs(found, profile, name)]
    return all(memory.predict(config, how, on).total <= free for _, config, how, free, on in jobs)


def _disk(found: Machine, profile: str, model: str) -> float:
    """Bytes of disk that a model's runs take: each checkpoint has the adapter and two moments in float32, each run its samples."""
    count = sum(row["model"] == model for row in runs.profile_runs(runs.load_profile(profile)).values())
    config = found.configs.get(model, {})
    if config.get("model_type") not in memory.KINDS or model in tiny.BASES:
        return count * SAMPLES / 10
    chosen = train.settings(profile, model=model, regime="task")
    adapter = memory.adapter_parameters(memory.shape(config), chosen.lora_rank)
    return count * (SAMPLES + 12 * adapter * (chosen.keep_checkpoints + 1))


def _room(found: Machine, described: dict, profile: str) -> list[Finding]:
    """Disk for runs and for weights that are still to come, and the host's memory."""
    findings: list[Finding] = []
    needed = sum(_disk(found, profile, model) for model in runs.profile_models(described))
    if found.disk_free < needed:
        advice = "Free some, or set KIT_HOME to a larger disk."
        sentence = f"Runs may take {needed / GIB:.1f} GiB of disk, but {found.disk_free / GIB:.1f} are free."
        findings.append(Finding("problem", sentence, advice))
    hub = [name for name in runs.profile_models(described) if found.places.get(name) == "hub"]
    coming = [name for name in hub if found.configs.get(name, {}).get("model_type") in memory.KINDS]
    weights = sum(2 * sum(memory.parameters(memory.shape(found.configs[name]))) for name in coming)
    if found.cache_free < weights:
        sentence = (
            f"Weights of {weights / GIB:.1f} GiB are to come, but {found.cache_free / GIB:.1f} GiB are free for them."
        )
        findings.append(Finding("problem", sentence, "Set HF_HOME to a larger disk."))
    if found.host_memory < described["memory_mb"] * 2**20:
        sentence = f"A job may take {described['memory_mb'] / 1024:.0f} GiB of memory, but {found.host_memory / GIB:.0f} are there."
        findings.append(Finding("problem", sentence, "Use a machine with more."))
    return findings or [
        Finding(
            "ok", f"Disk ({found.disk_free / GIB:.0f} GiB free) and memory ({found.host_memory / GIB:.0f} GiB) suffice."
        )
    ]


def report(findings: list[Finding], profile: str) -> str:
    """The findings as text, a line each, and the verdict."""
    lines = [f"{HEADS[f.level]}  {f.sentence}{' ' if f.advice else ''}{f.advice}" for f in findings]
    verdict = "can" if can_run(findings) else "CANNOT"
    return "\n".join([*lines, f"This machine {verdict} run the profile {profile}."])


def examine(profile: str) -> list[Finding]:
    """This machine's findings for a profile."""
    return judge(machine.inspect(*needs(profile)), profile)


def main(arguments: list[str]) -> int:
    """Prints the report of a profile, and which others would run; the exit status is 0 if it can run."""
    profile = arguments[0] if arguments else "quick"
    findings = examine(profile)
    print(report(findings, profile))
    return 0 if can_run(findings) else 1


if __name__ == "__main__":
    models.quiet()
    try:
        sys.exit(main(sys.argv[1:]))
    except UsageError as error:
        sys.exit(str(error))
