"""Every test runs without a hub, and writes to its own folder."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from lib import models, tiny


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
