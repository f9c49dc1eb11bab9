"""`python -m tests.bench` runs every benchmark of this folder that needs no GPU, `python -m tests.bench likelihood` one."""

import importlib
import pkgutil
import sys

from tests import bench

SKIPPED = ("__main__", "gpu", "test_gpu")  # a GPU takes hours, and what is a test is no benchmark

for name in sys.argv[1:] or sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if m.name not in SKIPPED):
    print(f"\n== {name}", flush=True)
    importlib.import_module(f"tests.bench.{name}").main()
