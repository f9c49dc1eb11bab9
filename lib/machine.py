"""What a machine has: packages, GPU, memory, disk, hub. Only looking; what it means is `lib.doctor`."""

import dataclasses
import os
import platform
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from lib import fitting, hub, memory, models, runs, tiny

SECONDS = 10  # that the hub has to answer, all questions together
REQUIREMENTS = ("requirements.txt", "requirements-no-deps.txt")


@dataclass(frozen=True)
class Machine:
    """Sizes in bytes. `places` says where each model and data set is: local, cached, hub, gated, missing or unreachable."""

    python: str
    packages: dict[str, str | None]  # installed versions of what is pinned, None where there is none
    gpu: str | None = None
    gpus: int = 0
    gpu_memory: int = 0
    gpu_free: int = 0
    bfloat16: bool = False
    driver: bool = False  # a driver shows a GPU, whether or not torch can use it
    vllm: bool = False
    host_memory: int = 0
    disk_free: int = 0  # where runs go
    cache_free: int = 0  # where the hub's files go
    places: dict[str, str] = dataclasses.field(default_factory=dict)
    configs: dict[str, memory.Config] = dataclasses.field(default_factory=dict)  # of the models, by name


def pins() -> dict[str, str]:
    """The versions that the kit was tested with, by package."""
    lines = "\n".join((runs.ROOT / name).read_text(encoding="utf-8") for name in REQUIREMENTS)
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==(\S+)", lines, flags=re.MULTILINE))


def inspect(names: list[str], data: list[str]) -> Machine:
    """This machine, with the places of these models and data sets; the hub is asked once, all questions at a time."""
    import torch

    places, configs = _places(names, data)
    cuda = torch.cuda.is_available()
    free, total = fitting.of_gpu() if cuda else (0, 0)
    cache = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    return Machine(
        python=platform.python_version(),
        packages={name: _version(name) for name in pins()},
        gpu=torch.cuda.get_device_name() if cuda else None,
        gpus=torch.cuda.device_count() if cuda else 0,
        gpu_memory=total,
        gpu_free=free,
        bfloat16=cuda and torch.cuda.is_bf16_supported(including_emulation=False),
        driver=shutil.which("nvidia-smi") is not None or Path("/dev/nvidia0").exists(),
        vllm=models.vllm_is_there(),
        host_memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        disk_free=shutil.disk_usage(_existing(runs.HOME)).free,
        cache_free=shutil.disk_usage(_existing(cache)).free,
        places=places,
        configs=configs,
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _existing(path: Path) -> Path:
    """The nearest folder above that exists."""
    return path if path.exists() else _existing(path.parent)


def _places(names: list[str], data: list[str]) -> tuple[dict[str, str], dict[str, memory.Config]]:
    """(where each model and data set is, the models' configurations where they can be read or are known)."""
    pool = ThreadPoolExecutor(max_workers=8)
    asked = {name: pool.submit(_place, name, "model") for name in names}
    asked |= {name: pool.submit(_place, name, "dataset") for name in data}
    deadline, places = time.monotonic() + SECONDS, {}
    for name, answer in asked.items():
        try:
            places[name] = answer.result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            places[name] = "unreachable"
    pool.shutdown(wait=False, cancel_futures=True)
    return places, {name: found for name in names if (found := _config(name, places[name])) is not None}


def _place(name: str, kind: str) -> str:
    """Where a model or a data set is."""
    local = name in tiny.BASES or Path(name).expanduser().exists()
    if local or (kind == "dataset" and name not in hub.KNOWN):  # generated problems, and files
        return "local" if local or name.count("/") != 1 or name.startswith("reasoning-gym/") else "missing"
    from huggingface_hub import HfApi, auth_check, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound, GatedRepoError, RepositoryNotFoundError

    try:
        if any(r.repo_id == name and r.repo_type == kind and r.nb_files > 1 for r in scan_cache_dir().repos):
            return "cached"
    except CacheNotFound:
        pass
    try:
        HfApi().repo_info(name, repo_type=kind, timeout=SECONDS)
        auth_check(name, repo_type=kind)
    except GatedRepoError:
        return "gated"
    except RepositoryNotFoundError:
        return "missing"
    except Exception:  # whatever the network stack raises
        return "unreachable"
    return "hub"


def _config(name: str, place: str) -> memory.Config | None:
    """A model's configuration: as stored, or as the kit knows it, since a shape does not need the hub."""
    if name in memory.SHAPES:
        return memory.SHAPES[name]
    if place in ("missing", "gated", "unreachable"):
        return None
    return dict(memory.config_of(models.resolve(name)))
