"""The house: rooms know only what is below them, import without a GPU and a network, and the lower ones without torch."""

import ast
import subprocess
import sys

import pytest

from lib.storage.folders import ROOT

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in (ROOT / "lib").rglob("*.py")
)
ROOMS = ["storage", "rewards", "theory", "data", "models", "training", "evaluation", "audit", "reports"]
PURE = ["storage", "rewards", "theory", "data", "audit", "auditor"]  # need no torch
LIGHT = ["models.sources", "models.loading", "models.tiny", "training.config", "training.train", "evaluation.metrics"]
BLOCK = """
import socket
def refuse(*a, **k): raise OSError('no network')
socket.socket.connect = socket.getaddrinfo = refuse
"""


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"CUDA_VISIBLE_DEVICES": ""})


def test_all_modules_are_seen():
    assert len(MODULES) >= 50 and {f"lib.{room}" for room in ROOMS} < set(MODULES)


def test_every_module_imports_without_gpu_and_network():
    result = run(BLOCK + "".join(f"import {name}\n" for name in MODULES))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("room", PURE + LIGHT)
def test_pure_rooms_import_neither_torch_nor_transformers(room):
    names = [name for name in MODULES if name == f"lib.{room}" or name.startswith(f"lib.{room}.")]
    imports = "".join(f"import {name}\n" for name in names)
    result = run(f"import sys\n{imports}assert not {{'torch', 'transformers'}} & set(sys.modules)")
    assert names and result.returncode == 0, result.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_it_is_and_what_it_may_import(room):
    paragraph = ast.get_docstring(ast.parse((ROOT / "lib" / room / "__init__.py").read_text()))
    assert paragraph and "\n\n" not in paragraph and "import" in paragraph


def test_no_module_is_too_long_and_neither_is_a_function():
    for path in (ROOT / "lib").rglob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno + 1 <= 40, f"{path}: {node.name}"
