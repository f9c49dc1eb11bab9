"""Evaluations of bases and runs: sampled in chunks, kept with what they are made of, resumed, and summed up.

A folder `evaluations/` holds `<data>-<split>.json`, the result, and the raw samples beside it. While an evaluation runs, whole
chunks of problems appear in `<data>-<split>-chunks/`; a killed one goes on after the last of them, and what comes out is the same.
The numbers are always computed from the kept samples, by `lib.evaluate`.
"""

import dataclasses
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lib import evaluate, fingerprints, fitting, models, runs, sample, verify
from lib.evaluate import Plan
from lib.fingerprints import Fingerprints
from lib.problems import Problem
from lib.runs import UsageError

CHECKPOINTS = ("last", "best")
MOST_RANK = 64  # of an adapter that vLLM samples with


class Subject(NamedTuple):
    """What is evaluated: a base as it is, or with the adapter of a run. `about` is copied into the result."""

    source: models.Source
    load_in_4bit: bool
    adapter: Path | None
    about: dict[str, object]


class Samples(NamedTuple):
    """The raw samples of an evaluation, tables as `evaluate.summarise` takes them, and the seconds that they took."""

    sampled: pd.DataFrame
    greedy: pd.DataFrame
    seconds: float


def of_base(model: str, folder: Path, how: Plan, load_in_4bit: bool = True) -> dict:
    """Evaluates a base of the kit, a folder or a hub id as it is; returns the result, as `evaluate_subject`."""
    about: dict[str, object] = {"regime": "base", "seed": None, "checkpoint": "base"}
    return evaluate_subject(Subject(models.resolve(model), load_in_4bit, None, about), folder, how)


def of_run(run: Path, how: Plan, checkpoint: str = "last") -> dict:
    """Evaluates a finished run: its last checkpoint, the headline, or the one that is best on the validation split.

    The best one's result is beside the last one's, its name ends in `-best`, and it says which step it is from. The model is
    loaded as for training. Raises UsageError if there is no such run, or if the data has no validation split.
    """
    if checkpoint not in CHECKPOINTS:
        raise UsageError(f"Unknown checkpoint {checkpoint!r}: choose one of {', '.join(CHECKPOINTS)}.")
    if not (Path(run) / "adapter" / "adapter_config.json").is_file():
        raise UsageError(f"There is no finished run in {run}: check its name, or train it first.")
    config = runs.read_json(Path(run) / "config.json")
    settings, regime = config["settings"], config["regime"]
    about = {"regime": regime["name"]} | {k: regime[k] for k in ("alpha", "beta_inv", "normalization")}
    about["fixed_length"] = settings.get("fixed_length", False)  # of training; an evaluation stops at EOS
    about |= {"seed": settings["seed"], "checkpoint": checkpoint}
    adapter = Path(run) / "adapter"
    subject = Subject(models.resolve(settings["model"]), settings["load_in_4bit"], adapter, about)
    if checkpoint == "last":
        return evaluate_subject(subject, run, how)
    best, scores = best_on_validation(subject, run, how)
    about |= {"step": int(best.name.split("-")[1]), "validation": scores}
    return evaluate_subject(subject._replace(adapter=best, about=about), run, how, "-best")


def best_on_validation(subject: Subject, run: Path, how: Plan) -> tuple[Path, dict[str, float]]:
    """(the kept checkpoint with the highest sampled accuracy on the validation split, that accuracy of each checkpoint).

    Of equal ones the latest. `train.Settings.keep_checkpoints` says how many are kept.
    """
    cheaper = how.validation()
    overlap = set.intersection(*({p.prompt for p in evaluate.load_problems(plan).problems} for plan in (cheaper, how)))
    if overlap:
        raise UsageError(
            f"{how.data} has no validation split apart from its {how.split} split ({len(overlap)} problems are in both): "
            "report the last checkpoint."
        )
    kept = sorted((Path(run) / "checkpoints").glob("checkpoint-*/complete"), key=lambda p: int(p.parent.name[11:]))
    if not kept:
        raise UsageError(f"{run} keeps no checkpoints: report the last one, which is its adapter.")
    scores = {}
    for path in (mark.parent for mark in kept):
        result = evaluate_subject(subject._replace(adapter=path), run, cheaper, f"-{path.name}")
        scores[path] = result["accuracy_sampled"]
    best = max(scores, key=lambda path: (scores[path], int(path.name[11:])))
    return best, {path.name: score for path, score in scores.items()}


def evaluate_subject(subject: Subject, folder: Path, how: Plan, suffix: str = "") -> dict:
    """Evaluates a model; writes `evaluations/<data>-<split><suffix>.json`, with the raw samples beside it, and returns the result.

    Samples that are there from the same plan, prompts, sampler, grader and model are kept; killed at any moment, it goes on with
    the next chunk and ends in the same numbers. `tokens` and `seconds` in the result are what sampling, grading and scoring took.
    """
    stem = Path(folder) / "evaluations" / f"{how.stem}{suffix}"
    chosen = evaluate.load_problems(how)
    test_set = chosen.problems
    found = fingerprint(subject, how, test_set)
    made_of = {"plan": _settings(how), **found.columns()}
    with runs.lock(stem.parent):
        runs.sweep(stem.parent)
        samples = _finished(stem, made_of)
        if samples is None:
            samples = _measure(subject, how, test_set, stem, made_of)
            runs.write_json(stem.parent / "environment.json", runs.environment())
        numbers = evaluate.summarise(samples.sampled, samples.greedy)
        result = {"model": subject.source.name, **subject.about, "data_set": f"{how.data}/{how.split}", **numbers}
        left_out = {"too_long": len(test_set) - numbers["problems"], "unreadable_golds": list(chosen.unreadable)}
        result |= {"seconds": round(samples.seconds, 1), "revision": chosen.revision, "left_out": left_out}
        result |= {"verifier": verify.description(strict=False), **made_of}
        runs.write_json(stem.with_name(f"{stem.name}.json"), result)
        shutil.rmtree(_chunks(stem), ignore_errors=True)
    return result


def fingerprint(subject: Subject, how: Plan, test_set: list[Problem]) -> Fingerprints:
    """What an evaluation is made of; see `lib.fingerprints`."""
    names = ("temperature", "top_p", "top_k", "repetition_penalty", "max_completion_tokens", "samples")
    engine = "vllm" if models.vllm_is_there() else "huggingface"
    return Fingerprints(
        fingerprints.of_prompts(test_set),
        fingerprints.of_sampler(engine=engine, **{name: getattr(how, name) for name in names}),
        fingerprints.of_grader(),
        fingerprints.of_model(subject.source, subject.load_in_4bit, subject.adapter),
    )


def _settings(how: Plan) -> dict:
    """A plan's settings but for those that only matter to choosing a checkpoint, or to where things run."""
    return {k: v for k, v in dataclasses.asdict(how).items() if not k.startswith(("validation_", "vllm_"))}


def _chunks(stem: Path) -> Path:
    """The folder of an evaluation's chunks, which is there until its result is."""
    return stem.with_name(f"{stem.name}-chunks")


def _tables(stem: Path) -> dict[str, Path]:
    return {name: stem.with_name(f"{stem.name}-{name}.parquet") for name in ("sampled", "greedy")}


def _finished(stem: Path, made_of: dict) -> Samples | None:
    """The samples of a finished evaluation that was made of the same things."""
    path, paths = stem.with_name(f"{stem.name}.json"), _tables(stem)
    if not path.exists() or not all(p.exists() for p in paths.values()):
        return None
    result = runs.read_json(path)
    if {name: result.get(name) for name in made_of} != made_of:
        return None
    return Samples(pd.read_parquet(paths["sampled"]), pd.read_parquet(paths["greedy"]), result["seconds"])


def _measure(subject: Subject, how: Plan, test_set, stem: Path, made_of: dict) -> Samples:
    """Samples what is not there yet, chunk by chunk, and puts the chunks together."""
    folder = _chunks(stem)
    if folder.exists() and (not (folder / "of.json").exists() or runs.read_json(folder / "of.json") != made_of):
        shutil.rmtree(folder)
    runs.write_json(folder / "of.json", made_of)
    starts = range(0, len(test_set), how.chunk)
    paths = {start: folder / f"{start:06d}.parquet" for start in starts}
    missing = [start for start in starts if not paths[start].exists()]
    if missing:
        _sample_chunks(subject, how, test_set, {start: paths[start] for start in missing})
    whole = pd.concat([pd.read_parquet(path) for path in paths.values()], ignore_index=True)
    if whole.empty:
        raise UsageError(f"Every prompt has more than {how.max_prompt_tokens} tokens: raise max_prompt_tokens.")
    whole.attrs = {}
    parts = {kind: rows.drop(columns="kind").reset_index(drop=True) for kind, rows in whole.groupby("kind")}
    seconds = sum(pd.read_parquet(path, columns=["kind"]).attrs["seconds"] for path in paths.values())
    stem.with_name(f"{stem.name}.json").unlink(missing_ok=True)  # an older result does not describe the new samples
    for name, path in _tables(stem).items():
        with runs.atomic(path) as partial:
            parts[name].to_parquet(partial, index=False)
    return Samples(parts["sampled"], parts["greedy"], seconds)


def _sample_chunks(subject: Subject, how: Plan, test_set, paths: dict[int, Path]) -> None:
    """Loads the model and writes the chunks that start at these problems, each one when it is whole."""
    tokens = how.max_prompt_tokens + how.max_completion_tokens
    vllm = models.Vllm(how.vllm_memory, MOST_RANK) if models.vllm_is_there() else None
    models.import_unsloth()
    fitting.refuse_on_this_gpu(f"Evaluating {subject.source.name}", subject.source, how, vllm is not None)
    model, tokenizer = models.load(subject.source, tokens, subject.load_in_4bit, vllm)
    engine = sample.vllm_engine(model, tokenizer, subject.adapter) if vllm else None
    if subject.adapter is not None:
        model = models.load_adapter(model, tokenizer, subject.adapter)
    per_problem = how.samples + 1
    done = per_problem * (len(test_set) - sum(len(test_set[start : start + how.chunk]) for start in paths))
    with sample.Progress("evaluating", per_problem * len(test_set), done) as progress:
        for start, path in paths.items():
            started = time.perf_counter()
            part, _ = models.fitting(tokenizer, test_set[start : start + how.chunk], how.max_prompt_tokens)
            table = pd.DataFrame({"kind": []})  # of a chunk whose prompts are all too long
            if part:
                chunk = evaluate.measure(model, tokenizer, how, part, subject.adapter is not None, engine, progress)
                kinds = [t.assign(kind=kind) for kind, t in zip(("sampled", "greedy"), chunk)]
                table = pd.concat(kinds, ignore_index=True)
            table.attrs["seconds"] = time.perf_counter() - started
            with runs.atomic(path) as partial:
                table.to_parquet(partial, index=False)
