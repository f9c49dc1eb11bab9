"""Evaluations of bases and runs: sampled in chunks, kept with what they are made of, resumed, and summed up.

A folder `evaluations/` holds `<data>-<split>.json`, the result with the digests of itself and of the raw samples beside it, from
which its numbers are computed. While an evaluation runs, whole chunks of problems appear in `<data>-<split>-chunks/`: a killed one
goes on after the last of them, and what comes out is the same."""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lib.data import problems, sets
from lib.data.prompts import Problem
from lib.evaluation import fingerprints, grading, metrics
from lib.evaluation.config import EvalConfig
from lib.evaluation.metrics import Graded
from lib.models import environment, loading, sampling, sources, tokens
from lib.rewards import verifier
from lib.storage import digests, files
from lib.storage.errors import UsageError
from lib.training import record, train

CHECKPOINTS = ("last", "best")
MOST_RANK = 64  # of an adapter that vLLM samples with


class Subject(NamedTuple):
    """What is evaluated: a base as it is, or with the adapter of a run. `about` is copied into the result."""

    source: sources.Source
    load_in_4bit: bool
    adapter: Path | None
    about: dict[str, object]


def load_problems(config: EvalConfig) -> problems.ProblemSet:
    """The problems of an evaluation, and where they are from: the one place that loads them."""
    return problems.load_set(config.data, config.split, config.problems, revision=config.revision)


def is_training_data(trained_on: str, config: EvalConfig) -> bool:
    """Whether an evaluation's problems are those of the very file that a run is trained on, and nobody asked for that."""
    places = [sets.SETS[data].where if data in sets.SETS else data for data in (trained_on, config.data)]
    one, other = (Path(place).expanduser().resolve() for place in places)
    return one == other and one.suffix in sets.FILES and config.split != "validation" and not config.on_training_data


def of_base(model: str, folder: Path, config: EvalConfig, load_in_4bit: bool = True) -> dict:
    """Evaluates a base of the kit, a folder or a hub id as it is, and returns the result; see `evaluate_subject`."""
    return evaluate_subject(base_subject(sources.resolve(model), load_in_4bit), folder, config)


def base_subject(source: sources.Source, load_in_4bit: bool = True) -> Subject:
    """A base as it is."""
    return Subject(source, load_in_4bit, None, {"objective": "base", "seed": None, "checkpoint": "base"})


def of_run(run: Path, config: EvalConfig, checkpoint: str = "last") -> dict:
    """Evaluates a finished run: its last checkpoint, the headline, or the one that is best on the validation split. The best one's
    result is beside the last one's, its name ends in `-best`, and it says which step it is from. The model is loaded as for
    training. Raises UsageError if there is no such run, or if the data has no validation split."""
    if checkpoint not in CHECKPOINTS:
        raise UsageError(f"Unknown checkpoint {checkpoint!r}: choose one of {', '.join(CHECKPOINTS)}.")
    subject = run_subject(run, config)
    if checkpoint == "last":
        return evaluate_subject(subject, run, config)
    best, scores = best_on_validation(subject, run, config)
    about = subject.about | {"checkpoint": "best", "step": record.step_of(best), "validation": scores}
    return evaluate_subject(subject._replace(adapter=best, about=about), run, config, "-best")


def run_subject(run: Path, config: EvalConfig) -> Subject:
    """The last checkpoint of a finished run. Raises UsageError if there is none, or if it was trained on the evaluation's file."""
    if not train.finished(run):
        raise UsageError(f"There is no finished run in {run}: check its name, or train it first.")
    record.check(run, "config.json", "adapter")
    trained = files.read_json(run / "config.json")
    settings, objective = trained["settings"], trained["objective"]
    if is_training_data(settings["data"], config):
        raise UsageError(f"{run.name} was trained on {config.data}: evaluate it on another file, or set on_training_data to true.")
    numbers = {name: objective[name] for name in ("alpha", "beta_inv", "normalization", "length_exponent")}
    about = {"objective": objective["name"], **numbers, "fixed_length": settings.get("fixed_length", False)}
    about |= {"learning_rate": settings["learning_rate"], "seed": settings["seed"]}
    about |= {"checkpoint": "last", "trained_with": trained["verifier"]}
    source = sources.resolve(settings["model"], trained["model"]["revision"])
    return Subject(source, settings["load_in_4bit"], run / "adapter", about)


def best_on_validation(subject: Subject, run: Path, config: EvalConfig) -> tuple[Path, dict[str, float]]:
    """(the kept checkpoint with the highest sampled accuracy on the validation split, that accuracy of each checkpoint). Of equal
    ones the latest. `TrainConfig.keep_checkpoints` says how many are kept."""
    cheaper = config.validation()
    chosen_on, reported_on = ({p.prompt for p in load_problems(one).problems} for one in (cheaper, config))
    if overlap := chosen_on & reported_on:
        raise UsageError(
            f"{config.data} has no validation split apart from its {config.split} split ({len(overlap)} problems are in both): "
            "report the last checkpoint."
        )
    if not (kept := record.checkpoints(run)):
        raise UsageError(f"{run} keeps no checkpoints: report the last one, which is its adapter.")
    scores = {}
    for path in kept:
        result = evaluate_subject(subject._replace(adapter=path), run, cheaper, f"-{path.name}")
        scores[path.name] = result["accuracy_sampled"]
    return max(reversed(kept), key=lambda path: scores[path.name]), scores


def evaluate_subject(subject: Subject, folder: Path, config: EvalConfig, suffix: str = "") -> dict:
    """Evaluates a model; writes `evaluations/<data>-<split><suffix>.json`, with the raw samples beside it, and returns the result.
    Samples that are there already are kept (`identity`), and graded anew if the verifier changed; what is damaged is sampled anew.
    Killed at any moment, it goes on with the next chunk and ends in the same numbers. `tokens` and `seconds` are what sampling,
    grading and scoring took."""
    stem = Path(folder) / "evaluations" / f"{config.stem}{suffix}"
    chosen = load_problems(config)
    made_of = identity(subject, config, chosen.problems)
    with files.lock(stem.parent):
        files.sweep(stem.parent, Path(f"{stem}-chunks"))
        taken = _kept(stem, config, made_of, chosen.problems) or _measure(subject, config, chosen.problems, stem, made_of)
        numbers = metrics.summarise(Graded(*map(pd.read_parquet, _tables(stem))))
        too_long = len(chosen.problems) - numbers["problems"]
        result = {"model": subject.source.name, **subject.about, "data_set": config.data_set, **numbers}
        result |= {**taken, "revision": chosen.revision}
        result |= {"left_out": {"too_long": too_long, "unreadable_golds": list(chosen.unreadable)}}
        result |= {"verifier": verifier.description(strict=False), **made_of}
        result |= {"tables": {path.name: digests.of(path) for path in _tables(stem)}}
        digests.write_sealed(Path(f"{stem}.json"), result)
        shutil.rmtree(f"{stem}-chunks", ignore_errors=True)
    return result


def identity(subject: Subject, config: EvalConfig, asked: list[Problem]) -> dict[str, object]:
    """The settings of an evaluation and its `fingerprints`: samples that were made of the same are kept."""
    names = {"temperature", "top_p", "top_k", "repetition_penalty", "max_completion_tokens", "samples"}
    engine = "vllm" if loading.vllm_is_there() else "huggingface"
    return {
        "config": config.identity(),
        "fingerprint_prompts": fingerprints.of_prompts(asked),
        "fingerprint_sampler": fingerprints.digest({"engine": engine} | config.model_dump(include=names)),
        "fingerprint_grader": verifier.fingerprint(),
        "fingerprint_precision": fingerprints.of_precision(subject.load_in_4bit),
        "fingerprint_weights": subject.source.revision or subject.source.fingerprint,
        "fingerprint_model": fingerprints.of_model(subject.source, subject.load_in_4bit, subject.adapter),
    }


def _tables(stem: Path) -> list[Path]:
    """The files of an evaluation's raw samples."""
    return [Path(f"{stem}-{kind}.parquet") for kind in Graded._fields]


def read(path: Path) -> dict:
    """The result of an evaluation. Raises UsageError if it, or a table of its samples, is missing or not what was written."""
    result = digests.read_sealed(path)
    if result is None or digests.damaged(path.parent, result["tables"]):
        raise UsageError(f"{path}, or the samples beside it, are not there or damaged: run the evaluation once more.")
    return result


def graded(path: Path) -> Graded:
    """The raw samples of an evaluation, by the path of its result; raises UsageError as `read` does."""
    read(path)
    return Graded(*map(pd.read_parquet, _tables(path.with_suffix(""))))


def _kept(stem: Path, config: EvalConfig, made_of: dict[str, object], asked: list[Problem]) -> dict | None:
    """The seconds that a finished evaluation took, and where, if it was made of the same things by the same verifier and is whole.
    Of another verifier, its samples become chunks again, to be graded anew."""
    path = Path(f"{stem}.json")
    try:
        result = read(path)
    except UsageError as error:
        if path.exists():
            print(str(error).replace("run the evaluation once more", "it is done once more"), file=sys.stderr)
        return None
    if any(result[name] != value for name, value in made_of.items() if name != "fingerprint_grader"):
        return None
    if result["fingerprint_grader"] == made_of["fingerprint_grader"]:
        return {name: result[name] for name in ("seconds", "environment")}
    kinds = zip(Graded._fields, _tables(stem), strict=True)
    whole = pd.concat([pd.read_parquet(table).assign(kind=kind) for kind, table in kinds], ignore_index=True)
    about = {"seconds": result["seconds"], "environment": result["environment"], "grader": result["fingerprint_grader"]}
    for start, chunk in _chunks(stem, config, made_of, asked).items():
        own = whole["problem_id"].isin([problem.id for problem in asked[start : start + config.chunk]])
        _write_chunk(chunk, whole[own], about | ({"seconds": 0.0} if start else {}))
    return None


def _chunks(stem: Path, config: EvalConfig, made_of: dict[str, object], asked: list[Problem]) -> dict[int, Path]:
    """The file of each chunk, by the first of its problems. Removes chunks that were made of something else."""
    folder, samples_of = Path(f"{stem}-chunks"), {k: v for k, v in made_of.items() if k != "fingerprint_grader"}
    if digests.read_sealed(folder / "of.json") != json.loads(json.dumps(samples_of)):
        shutil.rmtree(folder, ignore_errors=True)
        digests.write_sealed(folder / "of.json", samples_of)
    return {start: folder / f"{start:06d}.parquet" for start in range(0, len(asked), config.chunk)}


def _write_chunk(path: Path, table: pd.DataFrame, about: dict[str, object]) -> None:
    """Writes a chunk, then its digest, after which it counts; `about` says what it took and who graded it."""
    table.attrs = about
    with files.atomic(path) as partial:
        table.to_parquet(partial, index=False)
    digests.write_sealed(path.with_suffix(".json"), {path.name: digests.of(path)})


def _measure(subject: Subject, config: EvalConfig, asked: list[Problem], stem: Path, made_of: dict[str, object]) -> dict:
    """Samples what is not there yet, chunk by chunk, puts the chunks together; returns the seconds that they took, and where."""
    paths = _chunks(stem, config, made_of, asked)
    if missing := {start: path for start, path in paths.items() if not _is_whole(path)}:
        _sample_chunks(subject, config, asked, missing)
    chunks = [pd.read_parquet(path) for path in paths.values()]
    whole = pd.concat(chunks, ignore_index=True)
    if whole.empty:
        raise UsageError(f"Every prompt has more than {config.max_prompt_tokens} tokens: raise max_prompt_tokens.")
    whole.attrs = {}
    tables = [whole[whole["kind"] == kind].drop(columns="kind") for kind in Graded._fields]
    if any(chunk.attrs["grader"] != made_of["fingerprint_grader"] for chunk in chunks):
        tables = [grading.regraded(table, asked) for table in tables]
    Path(f"{stem}.json").unlink(missing_ok=True)  # an older result does not describe the new samples
    for table, path in zip(tables, _tables(stem), strict=True):
        with files.atomic(path) as partial:
            table.to_parquet(partial, index=False)
    about = [chunk.attrs for chunk in chunks]
    return {"seconds": round(sum(one["seconds"] for one in about), 1), "environment": about[0]["environment"]}


def _is_whole(chunk: Path) -> bool:
    """Whether a chunk is there and is what was written."""
    seal = digests.read_sealed(chunk.with_suffix(".json"))
    return seal is not None and not digests.damaged(chunk.parent, seal)


def _sample_chunks(subject: Subject, config: EvalConfig, asked: list[Problem], paths: dict[int, Path]) -> None:
    """Loads the model and writes the chunks that start at these problems, each one when it is whole."""
    vllm = loading.Vllm(config.vllm_memory, MOST_RANK) if loading.vllm_is_there() else None
    longest = config.max_prompt_tokens + config.max_completion_tokens
    model, tokenizer = loading.load(subject.source, longest, subject.load_in_4bit, vllm)
    engine = sampling.vllm_engine(model, tokenizer, subject.adapter) if vllm else None
    if subject.adapter is not None:
        model = loading.load_adapter(model, tokenizer, subject.adapter)
    parts = {start: asked[start : start + config.chunk] for start in paths}
    samples, missing = (config.samples + 1) * len(asked), (config.samples + 1) * sum(map(len, parts.values()))
    with sampling.Progress("evaluating", samples, samples - missing) as progress:
        loaded = grading.Loaded(model, tokenizer, subject.adapter is not None, engine, progress)
        size = config.batch_size
        for start, path in paths.items():
            started = time.perf_counter()
            part, _ = tokens.short_enough(tokenizer, parts[start], config.max_prompt_tokens)
            table = pd.DataFrame({"kind": []})  # of a chunk whose prompts are all too long
            if part:
                graded, size = _measure_in_batches(loaded, config, part, size)
                table = pd.concat([t.assign(kind=kind) for kind, t in graded._asdict().items()], ignore_index=True)
            about = {"seconds": time.perf_counter() - started, "grader": verifier.fingerprint()}
            _write_chunk(path, table, about | {"environment": environment.describe()})


def _measure_in_batches(loaded: grading.Loaded, config: EvalConfig, part: list[Problem], size: int) -> tuple[Graded, int]:
    """`grading.measure` in batches of `size`, halved whenever memory runs out, and the size that worked: the samples are the same.
    Raises UsageError where even one completion at a time is too much."""
    from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

    while True:
        budget = max(1, config.token_budget * size // config.batch_size)
        try:
            return grading.measure(loaded, config.changed(batch_size=size, token_budget=budget), part), size
        except Exception as error:
            if not should_reduce_batch_size(error):
                raise
        if size == 1:
            longest = f"one completion of {config.max_completion_tokens} tokens"
            raise UsageError(f"Memory runs out even for {longest}: lower max_completion_tokens.")
        size //= 2
        clear_device_cache(garbage_collection=True)
        print(f"Memory ran out: going on with a batch_size of {size} (the profile has {config.batch_size}).")
