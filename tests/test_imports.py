"""Importing any module needs no GPU and no network, and pure modules need no torch."""

import subprocess
import sys

import pytest

from lib import runs

MODULES = sorted(p.stem for p in (runs.ROOT / "lib").glob("*.py") if p.stem != "__init__")
BLOCK = """
import socket
def refuse(*a, **k): raise OSError('no network')
socket.socket.connect = socket.getaddrinfo = refuse
"""
PURE = [
    "regimes",
    "theory",
    "sequences",
    "dynamics",
    "statistics",
    "fingerprints",
    "forecast",
    "forecast_check",
    "power",
    "verify",
    "notation",
    "answers",
    "units",
    "comparison",
    "probe",
    "equivalence",
    "workers",
    "problems",
    "hub",
    "overlap",
    "tiny",
    "runs",
    "figures",
    "results",
    "train",
    "models",
]


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"CUDA_VISIBLE_DEVICES": ""}
    )


def test_all_modules_are_seen():
    assert len(MODULES) >= 14 and set(PURE) < set(MODULES)


def test_every_module_imports_without_gpu_and_network():
    result = run(BLOCK + "".join(f"import lib.{name}\n" for name in MODULES))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_import_neither_torch_nor_transformers(name):
    result = run(f"import sys, lib.{name}\nassert not {{'torch', 'transformers'}} & set(sys.modules)")
    assert result.returncode == 0, result.stderr
