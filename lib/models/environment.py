"""What a result was made with: versions, hardware and the git commit, for `environment.json`."""

import os
import platform
import subprocess
from importlib import metadata

from lib.storage.folders import ROOT

CODE = ("lib", "notebooks", "profiles", "data/tiny", "tests/bench")
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes", "datasets", "unsloth", "math-verify")


def describe() -> dict[str, object]:
    """Versions, hardware and the git commit of this checkout, and whether its code was changed since."""
    import torch

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changed_code": _git("status", "--porcelain", "--untracked-files=no", *CODE),
    }


def _git(*command: str) -> str | None:
    """What git prints about this checkout; None without git, without a checkout, or if it prints nothing."""
    try:
        return subprocess.run(["git", "-C", ROOT, *command], capture_output=True, text=True).stdout.strip() or None
    except FileNotFoundError:
        return None
