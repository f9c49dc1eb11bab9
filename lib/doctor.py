"""Can this machine run a profile, and if not, what has to change? `python -m lib.doctor PROFILE`, or `make doctor`.

Looking (`look`) is apart from judging (`judge`), so that recorded machines can be judged, too. Only a fact is a problem. GPU
memory is not estimated: docs/gpu.md has what was measured. Disk is a rough estimate, and nothing is refused for it."""

import platform
import re
import shutil
import sys
from collections.abc import Iterator
from concurrent import futures
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from lib import profiles
from lib.data import sets
from lib.models import built, loading
from lib.profiles import Profile
from lib.storage import files, folders, hub
from lib.storage.errors import UsageError

MIRRORS = {"meta-llama/Llama-3.2-3B-Instruct": "unsloth/Llama-3.2-3B-Instruct"}
AWAY = {  # places from which nothing can be had: what to say, and what to do
    "gated": ("Gated", "Accept the licence on its hub page and log in with `hf auth login`"),
    "missing": ("Not there, or private", "Check the name in the profile, or log in with `hf auth login`"),
    "unreachable": ("Not cached, and the hub cannot be reached", "Connect, or download once while connected"),
}
GIB = 2**30
SMALLER = "If memory runs out, lower generation_batch (with vLLM, vllm_memory), token_budget or micro_batch; evaluation halves its "
SMALLER += "batch_size by itself."
MEASURED = "How much GPU memory and time a step takes was measured for some settings: docs/gpu.md has the table."


class Finding(NamedTuple):
    """`level` is ok, note (it may run) or problem (it will not); `advice` says what to do, if there is something."""

    level: str
    sentence: str
    advice: str = ""


class Shape(NamedTuple):
    """Sizes of a decoder of Llama's kind, in features; `query` and `key` are heads, and key-value heads, × head size."""

    layers: int
    hidden: int
    inner: int
    query: int
    key: int


SHAPES = {  # as published, for models that are not downloaded yet
    "Qwen/Qwen2.5-3B-Instruct": Shape(36, 2048, 11_008, 2048, 256),
    "Qwen/Qwen3-4B-Instruct-2507": Shape(36, 2560, 9728, 4096, 1024),
    "meta-llama/Llama-3.2-3B-Instruct": Shape(28, 3072, 8192, 3072, 1024),
    "unsloth/Llama-3.2-3B-Instruct": Shape(28, 3072, 8192, 3072, 1024),
}


class Machine(NamedTuple):
    """Sizes in bytes. `places` says where each model and data set is: local, cached, hub, gated, missing or unreachable."""

    python: str
    packages: dict[str, str | None]  # installed versions of what is pinned, None where there is none
    disk_free: int  # where runs go
    gpu: str | None = None
    gpu_free: int = 0
    bfloat16: bool = False
    driver: bool = False  # whether a driver is there, whatever torch can use
    places: dict[str, str] = {}
    shapes: dict[str, Shape] = SHAPES  # of models, by name


def examine(profile: str) -> list[Finding]:
    """This machine's findings for a profile, by its name."""
    loaded = profiles.load(profile)
    return judge(look(needs(loaded)), loaded)


def judge(found: Machine, profile: Profile) -> list[Finding]:
    """What a machine means for a profile: one finding or more for each thing it needs; disk, an estimate, comes last."""
    memory = Finding("note", MEASURED, SMALLER)
    for_gpu = [*_gpu(found), memory, *_disk(found, profile)] if profile.needs_gpu else [Finding("ok", "It needs no GPU.")]
    return [*_software(found), *_places(found, profile), *for_gpu]


def can_run(findings: list[Finding]) -> bool:
    """Whether nothing found is a problem."""
    return all(finding.level != "problem" for finding in findings)


def report(findings: list[Finding], profile: str) -> str:
    """The findings as text, each with its advice below it, and the verdict."""
    lines = [f"{f.level:7}  {f.sentence}" + (f"\n{'':9}{f.advice}" if f.advice else "") for f in findings]
    verdict = "Nothing keeps this machine from running" if can_run(findings) else "This machine CANNOT run"
    return "\n".join([*lines, f"{verdict} the profile {profile}."])


def needs(profile: Profile) -> dict[str, str]:
    """What a profile takes from the hub or from here: `model` or `dataset`, by name."""
    names = dict.fromkeys(profile.models, "model")
    for row in profile.rows.values():
        config, evaluations = profile.train_config(**row), profile.eval_configs(row["model"])
        data = [config.data, config.overlap_with, *(how.data for how in evaluations)]
        names |= {name: "dataset" for name in data if name}
    return names


def _software(found: Machine) -> Iterator[Finding]:
    wanted = pins()
    if not re.match(r"3\.1[123]\.", found.python):
        yield Finding("problem", f"Python is {found.python}.", "Use 3.11 to 3.13: make PYTHON=python3.12 …")
    if missing := [name for name in wanted if found.packages.get(name) is None]:
        yield Finding("problem", f"Not installed: {', '.join(missing)}.", "Run make again: it installs them.")
    here = found.packages.items()
    if other := [f"{n} {v} (tested: {wanted[n]})" for n, v in here if v and v.split("+")[0] != wanted[n]]:
        yield Finding("note", f"Other versions than tested: {', '.join(other)}.", "Delete .venv and run make again.")
    if not missing and not other:
        yield Finding("ok", f"Python {found.python}; {len(wanted)} packages have the tested versions.")


def _places(found: Machine, profile: Profile) -> Iterator[Finding]:
    """Where the models and data sets are; what cannot be had is a problem."""
    place = {name: found.places.get(name, "unreachable") for name in needs(profile)}
    for away, (sentence, advice) in AWAY.items():
        if names := [name for name in place if place[name] == away]:
            mirrors = [f"; an ungated mirror is {MIRRORS[n]}" for n in names if away == "gated" and n in MIRRORS]
            yield Finding("problem", f"{sentence}: {', '.join(names)}.", f"{advice}{''.join(mirrors)}.")
    if not set(place.values()) & set(AWAY):
        yield Finding("ok", "Models and data sets are here or within reach.")


def _gpu(found: Machine) -> Iterator[Finding]:
    if found.gpu is not None:
        yield Finding("ok", f"{found.gpu}, with {found.gpu_free / GIB:.1f} GiB of memory free.")
        if not found.bfloat16:
            yield Finding("problem", f"{found.gpu} has no bfloat16.", "Use a GPU of compute capability 8.0 or later.")
    elif found.driver:
        advice = "Install torch's CUDA build (delete .venv, unset CPU indexes, run make), or see CUDA_VISIBLE_DEVICES."
        yield Finding("problem", "A GPU driver is there, but this torch cannot use a GPU.", advice)
    else:
        yield Finding("problem", "There is no GPU.", "Use a machine with one, or a profile without, such as quick.")


def _disk(found: Machine, profile: Profile) -> Iterator[Finding]:
    """A rough figure of the disk that all runs take."""
    disk = 0.0
    for model in profile.models:
        if (s := found.shapes.get(model)) is None:
            yield Finding("note", f"There is no estimate of disk for {model}: no config.json of a known kind is here.")
            continue
        rows = [row for row in profile.rows.values() if row["model"] == model]
        config = profile.train_config(**rows[0])
        disk += len(rows) * (config.keep_checkpoints + 1) * 12 * adapter_parameters(s, config.lora_rank)  # with two moments
    if disk:
        sentence = f"checkpoints take {disk / GIB:.0f} GiB of disk ({found.disk_free / GIB:.0f} are free)."
        yield Finding("note", f"A rough estimate: {sentence}", "KIT_HOME says where runs go.")


def adapter_parameters(s: Shape, rank: int) -> int:
    """Parameters of a LoRA adapter: rank × (inputs + outputs) of q, k, v, o, gate, up and down in each layer."""
    return s.layers * rank * (7 * s.hidden + 2 * s.query + 2 * s.key + 3 * s.inner)


def pins() -> dict[str, str]:
    """The versions that the kit was tested with, by package."""
    lines = [(folders.ROOT / f"{name}.txt").read_text() for name in ("requirements", "requirements-no-deps")]
    return dict(re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==(\S+)", "\n".join(lines), flags=re.MULTILINE))


def look(names: dict[str, str]) -> Machine:
    """This machine, and where these models and data sets are; the hub is asked for all of them at once."""
    import torch

    here = {str(d.name).lower().replace("_", "-"): d.version for d in [*metadata.distributions()][::-1]}
    with futures.ThreadPoolExecutor(32) as pool:  # all at once, so that the deadline of `hub.find` is that of all
        found = dict(zip(names, pool.map(_place, names, names.values()), strict=True))
    with_gpu = loading.gpu_is_there()
    free, total = torch.cuda.mem_get_info() if with_gpu else (0, 0)
    shapes = {name: s for name, answer in found.items() if (s := _shape(name, answer.commit)) is not None}
    return Machine(
        python=platform.python_version(),
        packages={name: here.get(name.lower().replace("_", "-")) for name in pins()},
        disk_free=shutil.disk_usage(next(p for p in (folders.HOME, *folders.HOME.parents) if p.exists())).free,
        gpu=torch.cuda.get_device_name() if with_gpu else None,
        gpu_free=min(free, int(total * torch.cuda.get_per_process_memory_fraction())) if with_gpu else 0,
        bfloat16=with_gpu and torch.cuda.is_bf16_supported(including_emulation=False),
        driver=shutil.which("nvidia-smi") is not None or Path("/dev/nvidia0").exists(),
        places={name: answer.place for name, answer in found.items()},
        shapes=SHAPES | shapes,
    )


def _place(name: str, kind: str) -> hub.Found:
    """Where a model or a data set is; for what is `local`, the hub is not asked. UsageError for no data set's name."""
    if kind == "dataset":
        entry = sets.named(name)
        there = entry.path is None or entry.path.exists()
        return hub.find(entry.hub_id, kind) if entry.hub_id else hub.Found("local" if there else "missing")
    if name == built.SMOLLM2 and not built.is_built(name):
        return hub.find(built.SMOLLM2_ON_THE_HUB)
    if name in built.MODELS or Path(name).expanduser().is_dir():
        return hub.Found("local")
    return hub.find(name) if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name) else hub.Found("missing")


def _shape(name: str, commit: str | None) -> Shape | None:
    """The sizes in a model's config.json, if that is in a local folder or the hub's cache, and of Llama's kind."""
    from huggingface_hub import try_to_load_from_cache

    stored = try_to_load_from_cache(name, "config.json", revision=commit) if commit else f"{name}/config.json"
    path = Path(stored if isinstance(stored, str) else "").expanduser()
    config = files.read_json(path) if path.is_file() else {}
    if config.get("model_type") not in ("llama", "qwen2", "qwen3"):
        return None
    layers, hidden, inner = (config[key] for key in ("num_hidden_layers", "hidden_size", "intermediate_size"))
    heads = config["num_attention_heads"]
    head, key_heads = config.get("head_dim") or hidden // heads, config.get("num_key_value_heads") or heads
    return Shape(layers, hidden, inner, heads * head, key_heads * head)


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "quick"
    try:
        results = examine(chosen)
    except UsageError as mistake:
        sys.exit(str(mistake))
    print(report(results, chosen))
    sys.exit(0 if can_run(results) else 1)
