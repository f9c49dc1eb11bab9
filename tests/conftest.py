"""Every test runs without a hub, and writes to its own folder."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from lib import models, tiny


def pytest_collection_modifyitems(items):
    """Tests marked `gpu` are skipped where there is none."""
    if any("gpu" in item.keywords for item in items) and not models.gpu_is_there():
        for item in filter(lambda item: "gpu" in item.keywords, items):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def policy():
    """(model, tokenizer): the base `many_wordings` in 4 bits with a fresh LoRA adapter."""
    model, tokenizer = models.load(models.resolve("many_wordings"), 96)
    return models.add_adapter(model, rank=4, alpha=8, seed=0), tokenizer


@pytest.fixture(scope="session")
def base():
    """(model, tokenizer): the base `one_wording` as it is stored, in float32."""
    models.import_unsloth()
    from lib import card

    return card.load(tiny.BASES["one_wording"])


@pytest.fixture
def made_up_gpu(monkeypatch):
    """A stand-in for a GPU of 16 GiB with half a GiB free, onto which no model may be loaded."""
    import torch

    from lib import fitting

    models.import_unsloth()  # before there is one
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(fitting, "of_gpu", lambda: (2**29, 2**34))
    monkeypatch.setattr(models, "vllm_is_there", lambda: False)
    monkeypatch.setattr(models, "load", lambda *_: pytest.fail("a model was loaded"))
