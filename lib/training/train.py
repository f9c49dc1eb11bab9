"""Training one objective: 4-bit LoRA and TRL's GRPO trainer set up as exact RLOO (`lib.training.trainer`).

RLOO is GRPO without division by the standard deviation, times G/(G−1); the loss is a mean over tokens, nothing is clipped and
no KL is in the loss, because every objective carries its KL in the reward."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from lib.data import decontamination, problems
from lib.data.problems import ProblemSet
from lib.data.prompts import Problem
from lib.models import environment, loading, sources, tokens
from lib.rewards import verifier
from lib.storage import digests, files
from lib.storage.errors import UsageError
from lib.training.config import TrainConfig
from lib.training.record import ADAPTER, Record, check, finished, step_of

__all__ = ["Run", "finished", "identity", "prepare", "train"]

# What decides what fits into memory, and who watches: a run may go on with other values, which change rounding and the draws alone
FREE = ("micro_batch", "generation_batch", "token_budget", "vllm_memory", "report_to")


# Settings that older runs do not have, which were as these values are
YOUNG = {"start": None, "order": "shuffled"}


class Run(NamedTuple):
    """A run that can be trained: its folder, its settings, and what was found for them; `start` is the folder of the run that it
    starts from, if it does."""

    folder: Path
    config: TrainConfig
    source: sources.Source
    problems: ProblemSet
    test_problems: list[Problem]  # looked for among the training problems
    start: Path | None


def prepare(folder: Path, config: TrainConfig) -> Run:
    """The door: finds everything that a run needs and writes nothing. Raises UsageError if this machine cannot train it, if there
    is no such model or data set, and if the folder holds another run."""
    _refuse_this_machine(config)
    found = problems.load_set(config.data, "train", config.train_problems, revision=config.revision)
    against = problems.load(config.overlap_with, "test", 20_000) if config.overlap_with is not None else []  # all of them
    pinned = _described(Path(folder)).get("model", {}).get("revision")  # a hub's commit
    run = Run(Path(folder), config, sources.resolve(config.model, pinned), found, against, _start(Path(folder), config))
    _refuse_another_run(run)
    return run


def train(run: Run) -> Path:
    """Trains a run, from its newest whole checkpoint if there is one; does nothing if it is finished. Returns its folder."""
    record = Record(run.folder, identity(run))
    with files.lock(run.folder):
        _refuse_another_run(run)  # it may have begun since the run was prepared
        files.sweep(run.folder, run.folder / "completions")
        if record.mend():
            print(f"{run.folder.name} is finished: nothing to train.")
            return run.folder
        start = record.resume()
        model, tokenizer = _policy(run)
        rows, about = _rows(run, tokenizer)
        from lib.training import trainer  # it imports TRL, which must come after Unsloth

        made = trainer.build(record, run.config, model, tokenizer, rows)
        if run.start is not None:  # not before: TRL rounds an adapter's weights
            loading.start_from(made.model, run.start / "adapter")
        _describe(run, made, about)
        record.begin(_segment(run, start))
        record.finish(trainer.fit(made, run.config, start))
    return run.folder


def identity(run: Run) -> str:
    """A digest of all that defines a run: its settings but for the `FREE` ones, the base's weights, the version of its data."""
    settings = run.config.model_dump(exclude=set(FREE))
    began = [] if run.start is None else [_began(run)]
    settings = {name: value for name, value in settings.items() if YOUNG.get(name, ()) != value}
    return digests.of_value([settings, run.source.revision, run.source.fingerprint, run.problems.revision, *began])


def _began(run: Run) -> str | None:
    """The digest of the adapter that a run starts from."""
    return digests.of(run.start / "adapter" / ADAPTER[0]) if run.start is not None else None


def _refuse_this_machine(config: TrainConfig) -> None:
    """Raises UsageError for settings that need what this machine does not have, and for reporters that transformers lacks."""
    if config.backend == "plain" and not loading.gpu_is_there():
        raise UsageError("The backend plain needs a GPU, since TRL's own loss has only a GPU kernel: choose unsloth.")
    if config.engine == "vllm" and (config.backend == "plain" or not loading.vllm_is_there()):
        raise UsageError("The engine vllm needs a GPU, requirements-vllm.txt and the backend unsloth: install it, or choose auto.")
    if config.report_to in ("none", [], ["none"]):
        return
    if config.backend == "unsloth":
        loading.import_unsloth()  # before transformers
    from transformers.integrations import integration_utils

    known, there = integration_utils.INTEGRATION_TO_CALLBACK, integration_utils.get_available_reporting_integrations()
    names = [config.report_to] if isinstance(config.report_to, str) else config.report_to
    for name in {*names} - {"all", *there}:
        if name in known:
            raise UsageError(f"The reporter {name} of report_to is not installed: install it, or set report_to to none.")
        raise UsageError(f"Unknown reporter {name!r} in report_to: choose none, all, or of {', '.join(known)}.")


def _start(folder: Path, config: TrainConfig) -> Path | None:
    """The run beside this one that it starts from; None if it starts from the base, or is finished and the other one is gone.
    Raises UsageError if that is not finished, or is not of the same shape."""
    if config.start is None:
        return None
    there = folder.parent / config.start
    if finished(folder) and not there.exists():
        return None
    if not finished(there):
        raise UsageError(f"{folder.name} starts from {config.start}, which is not trained: train that first, in {folder.parent}.")
    check(there, "config.json", "adapter")
    before, now = files.read_json(there / "config.json")["settings"], config.model_dump()
    for name in ("model", "load_in_4bit", "lora_rank", "lora_alpha"):
        if before[name] != now[name]:
            raise UsageError(f"{config.start} has {name} {before[name]}, and {folder.name} {now[name]}: they must be the same.")
    return there


def _refuse_another_run(run: Run) -> None:
    """Raises UsageError if the folder holds a run with other settings, weights or data."""
    there = _described(run.folder)
    if not there:
        return
    defaults = {name: field.default for name, field in TrainConfig.model_fields.items()}  # for settings younger than the run
    before = defaults | there["settings"] | {"weights": there["model"]["fingerprint"], "commit": there["model"]["revision"]}
    now = run.config.model_dump() | {"weights": run.source.fingerprint, "commit": run.source.revision}
    changed = [f"{k} ({before.get(k)} there, {v} here)" for k, v in now.items() if k not in FREE and before.get(k) != v]
    if changed:
        what = f"{run.folder} holds a run with other settings: {', '.join(changed)}"
        raise UsageError(f"{what}. Name a new run, or delete that folder.")
    if run.start is not None and there.get("start") != _began(run):
        what = f"{run.folder} started from {run.config.start}, which has been trained anew since"
        raise UsageError(f"{what}: delete that folder, or name a new run.")
    data, revision = there["problems"].get("revision"), run.problems.revision
    if data not in (None, revision):
        raise UsageError(f"{run.folder} was trained on version {data} of its data, which is now {revision}: name a new run.")


def _described(folder: Path) -> dict:
    """What `config.json` says of the run in a folder; nothing if there is none, or if it is damaged: each checkpoint says as well
    whose it is."""
    try:
        there = files.read_json(folder / "config.json")
        return there if {"settings", "model", "problems"} <= set(there) else {}
    except (OSError, ValueError, TypeError):
        return {}


def _policy(run: Run) -> tuple[tokens.Model, tokens.Tokenizer]:
    """The base of a run with a fresh adapter."""
    config = run.config
    vllm = loading.Vllm(config.vllm_memory, config.lora_rank) if config.samples_with_vllm() else None
    longest = config.max_prompt_tokens + config.max_completion_tokens
    model, tokenizer = loading.load(run.source, longest, config.load_in_4bit, vllm, config.backend)
    return loading.add_adapter(model, config.lora_rank, config.lora_alpha, config.seed, config.backend), tokenizer


def _rows(run: Run, tokenizer: tokens.Tokenizer) -> tuple[Any, dict[str, object]]:
    """(data set of `prompt`, `gold`, `problem_id`, what it is made of and what was left out, for `config.json`)."""
    from datasets import Dataset

    config, found = run.config, run.problems
    fits, too_long = tokens.short_enough(tokenizer, found.problems, config.max_prompt_tokens)
    about: dict[str, object] = {"revision": found.revision, "too_long": too_long, "unreadable_golds": list(found.unreadable)}
    if config.overlap_with is not None:
        shared = decontamination.shared(fits, run.test_problems)
        about |= {"overlap": shared, "overlap_dropped": config.drop_overlap}
        print(f"{len(shared)} of {len(fits)} training problems share {decontamination.WORDS} words with {config.overlap_with}.")
        fits = [p for p in fits if not (config.drop_overlap and p.id in shared)]
    if len(fits) < config.prompts_per_step:
        short = f"Only {len(fits)} prompts can be used ({too_long} exceed {config.max_prompt_tokens} tokens)"
        raise UsageError(f"{short}, but a step takes {config.prompts_per_step}: raise max_prompt_tokens or train_problems.")
    if config.order == "shortest_first":
        fits = sorted(fits, key=lambda p: len(p.prompt))
    rows = [{"prompt": p.messages, "gold": p.gold, "problem_id": p.id} for p in fits]
    return Dataset.from_list(rows), about | {"train": len(fits)}


def _describe(run: Run, made: Any, about: dict[str, object]) -> None:
    """Writes what the run is made of, `config.json`."""
    described = {
        "settings": run.config.model_dump(),
        "objective": dataclasses.asdict(run.config.resolved_objective()),
        "model": dataclasses.asdict(run.source),
        "problems": about,
        "start": _began(run),
        "verifier": verifier.description(strict=True),
        "eos_token_ids": sorted(tokens.eos_token_ids(made.model, made.processing_class)),
        "trainer": made.args.to_dict(),
    }
    files.write_json(run.folder / "config.json", described)


def _segment(run: Run, start: Path | None) -> dict:
    """What the steps from here on are taken with: versions, hardware, engine."""
    engine = "vllm" if run.config.samples_with_vllm() else "huggingface"
    used = {"engine": engine, "verifier": verifier.fingerprint(), **run.config.model_dump(include=set(FREE))}
    used |= environment.describe()
    return {"first_step": step_of(start) if start else 0, **used}
