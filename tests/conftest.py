"""Every test runs without a hub, and writes to its own folder."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


def pytest_collection_modifyitems(items):
    """Tests marked `gpu` are skipped where there is none."""
    marked = [item for item in items if "gpu" in item.keywords]
    if marked:
        from lib.models import loading

        for item in marked if not loading.gpu_is_there() else []:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def policy():
    """(model, tokenizer): the base `many_wordings` in 4 bits with a fresh LoRA adapter."""
    from lib.models import loading, sources

    model, tokenizer = loading.load(sources.resolve("many_wordings"), 96)
    return loading.add_adapter(model, rank=4, alpha=8, seed=0), tokenizer


@pytest.fixture(scope="session")
def base():
    """(model, tokenizer): the base `one_wording` as it is stored, in float32."""
    from lib.models import loading, tiny

    loading.import_unsloth()
    return loading.load_as_stored(tiny.BASES["one_wording"])
