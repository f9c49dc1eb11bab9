"""Samples of a base and of a trained model, each scored under both: what `lib.audit` is made from.

The samples are those of evaluations (`lib.evaluation.runner`), which are kept and resumed. What one model says of the other's
samples is added in chunks beside them, which are kept and resumed, too."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.data.prompts import Problem
from lib.evaluation import runner
from lib.evaluation.config import EvalConfig
from lib.evaluation.metrics import Graded
from lib.evaluation.runner import Subject
from lib.models import loading, sampling, scoring, sources, tokens
from lib.storage import digests, files, folders
from lib.storage.errors import UsageError
from lib.training import train

QUANTISED = re.compile(r"(-unsloth)?-bnb-4bit$")  # what Unsloth calls its copies of a base in 4 bits


class Side(NamedTuple):
    """A model, and the folder whose `evaluations` has its samples, or gets them."""

    subject: Subject
    folder: Path


class Pair(NamedTuple):
    """A base p and a trained model π."""

    base: Side
    trained: Side

    @property
    def one_base(self) -> bool:
        """Whether π is the base with an adapter, so that its own samples have been scored under both."""
        return self.trained.subject.adapter is not None and self.trained.subject.source.path == self.base.subject.source.path


def of_run(run: Path, base: Path, config: EvalConfig) -> Pair:
    """A finished run of a profile, and the folder of its base's evaluation."""
    subject = runner.run_subject(run, config)
    return Pair(Side(runner.base_subject(subject.source, subject.load_in_4bit), base), Side(subject, run))


def of_models(base: str, trained: str, config: EvalConfig, load_in_4bit: bool = True) -> Pair:
    """Two models: `base` of the kit, a folder or a hub id; `trained` the folder of a run, of an adapter of any PEFT kind, or a
    whole model. Raises UsageError if they do not belong together, or if weights are not safetensors, which run no code."""
    source = sources.resolve(base)
    _refuse_unsafe(Path(source.path))
    folder = _found(trained)
    base_folder, own_folder = (_place(path, config) for path in (source.path, str(folder)))
    if train.finished(folder):
        pair = of_run(folder, base_folder, config)
        if pair.trained.subject.source.fingerprint != source.fingerprint or pair.trained.subject.source.revision != source.revision:
            raise UsageError(f"{trained} was trained on {pair.trained.subject.source.name}, not on {base}: give that as the base.")
        return pair if _is_evaluated(folder, config) else pair._replace(trained=pair.trained._replace(folder=own_folder))
    about: dict[str, object] = {"objective": "trained", "seed": None, "checkpoint": "last"}
    if (folder / "adapter_config.json").is_file():
        _refuse_unsafe(folder)
        _refuse_another_base(folder, base)
        subject = Subject(source, load_in_4bit, folder, about)
    else:
        subject = Subject(sources.resolve(str(folder)), load_in_4bit, None, about)
        _refuse_unsafe(Path(subject.source.path))
    return Pair(Side(runner.base_subject(source, load_in_4bit), base_folder), Side(subject, own_folder))


def _found(trained: str) -> Path:
    """The folder of a trained model, also if it is a run where the kit writes; a path that is not there for a hub id."""
    folder = Path(trained).expanduser()
    folder = folder if folder.exists() else folders.HOME / trained
    if not folder.exists() and trained.startswith("runs/"):
        raise UsageError(f"There is no run {trained}: check its name, or train it first, for instance by `make reproduce`.")
    return folder.resolve() if folder.exists() else Path(trained)


def _place(path: str, config: EvalConfig) -> Path:
    """The folder of an audit's samples of a model: by its name, and a hash of where it is and of the settings, so that an audit
    with other settings replaces nothing."""
    mark = digests.of_value([path, config.identity()])[:6]
    return folders.HOME / "runs" / "audits" / f"{folders.short_name(path)}-{mark}"


def _is_evaluated(run: Path, config: EvalConfig) -> bool:
    """Whether a run's own evaluation was made with these settings."""
    result = digests.read_sealed(run / "evaluations" / f"{config.stem}.json")
    return result is not None and result["config"] == config.identity()


def _refuse_unsafe(folder: Path) -> None:
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        raise UsageError(f"{folder} has no .safetensors weights: convert it first, since other formats may run code when loaded.")


def _refuse_another_base(adapter: Path, base: str) -> None:
    """Raises UsageError if an adapter says that it was trained on a base of another name."""
    try:
        said = files.read_json(adapter / "adapter_config.json").get("base_model_name_or_path")
    except (ValueError, AttributeError):
        raise UsageError(f"{adapter / 'adapter_config.json'} cannot be read: copy the adapter once more.") from None
    names = {QUANTISED.sub("", folders.short_name(str(one)).lower()) for one in (said, base)}
    if said is not None and len(names) > 1:
        raise UsageError(
            f"The adapter in {adapter} was trained on {said}, not on {base}: give that as the base, or, if both are the same "
            "model, correct base_model_name_or_path in its adapter_config.json."
        )


def samples(pair: Pair, config: EvalConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the table of samples that `lib.audit.samples` describes, the greedy completions of both in the same columns). Samples what
    is not there yet. Raises UsageError if the models have different tokenizers or templates, or are not sampled as they are."""
    if not config.samples_from_p() or config.samples < 2:
        raise UsageError("An audit needs two or more samples per problem at temperature 1, without top_p, top_k or penalty.")
    asked = {problem.id: problem for problem in runner.load_problems(config).problems}
    if not pair.one_base:
        _refuse_other_tokens(pair, list(asked.values()))
    base, trained = (_graded(side, config) for side in pair)
    of_base = base.sampled.assign(base_logprob=base.sampled["policy_logprob"], source="base")
    of_base["trained_logprob"] = _scores(pair.trained, pair.trained, of_base, asked, config, "base")
    of_trained = trained.sampled.assign(trained_logprob=trained.sampled["policy_logprob"], source="trained")
    greedy = trained.greedy
    if pair.one_base:
        of_trained["base_logprob"] = of_trained["reference_logprob"]
        greedy = greedy.assign(base_logprob=greedy["reference_logprob"])
    else:
        of_trained["base_logprob"] = _scores(pair.base, pair.trained, of_trained, asked, config, "trained")
        greedy = greedy.assign(base_logprob=_scores(pair.base, pair.trained, greedy, asked, config, "greedy"))
    both = pd.concat([of_base, of_trained], ignore_index=True)
    both["sample"] = both.groupby(["problem_id", "source"], sort=False).cumcount()
    return both, pd.concat([base.greedy.assign(base_logprob=base.greedy["policy_logprob"]), greedy], ignore_index=True)


def judged(owner: Side, judge: Side, config: EvalConfig) -> pd.DataFrame:
    """The samples of a model, with `judge_logprob`: what another one with the same tokenizer says of them."""
    asked = {problem.id: problem for problem in runner.load_problems(config).problems}
    found = _graded(owner, config).sampled
    return found.assign(judge_logprob=_scores(judge, owner, found, asked, config, f"by-{judge.folder.name}"))


def _refuse_other_tokens(pair: Pair, asked: list[Problem]) -> None:
    """Raises UsageError if the models do not put the same problems in the same tokens."""
    base, trained = (loading.load_tokenizer(side.subject.source) for side in pair)
    if base.get_vocab() != trained.get_vocab():
        raise UsageError("The two models have different tokenizers, so that neither can score what the other writes: audit others.")
    first, second = (tokens.prompt_ids(one, [problem.messages for problem in asked]) for one in (base, trained))
    if first != second:
        raise UsageError(
            "The two models have different chat templates: copy the base's chat_template.jinja into the trained folder."
        )


def _graded(side: Side, config: EvalConfig) -> Graded:
    runner.evaluate_subject(side.subject, side.folder, config)
    found = runner.graded(side.folder / "evaluations" / f"{config.stem}.json")
    if "ids" not in found.sampled:
        raise UsageError(f"{side.folder} was evaluated by an older version of the kit: remove its evaluations, and evaluate again.")
    return found


def _scores(judge: Side, owner: Side, table: pd.DataFrame, asked: dict[str, Problem], config: EvalConfig, name: str) -> np.ndarray:
    """log-probabilities under the judge of a table's completions, [rows]. Kept in `evaluations/<data>-<split>-scored-<name>` of the
    owner, a file for each chunk of problems."""
    place = owner.folder / "evaluations" / f"{config.stem}-scored-{name}"
    judged = runner.identity(judge.subject, config, list(asked.values()))["fingerprint_model"]
    written = digests.of_value([table["problem_id"].tolist(), [list(map(int, one)) for one in table["ids"]]])
    made_of, size = {"model": judged, "samples": written}, config.chunk * config.samples
    with files.lock(owner.folder / "evaluations"):
        files.sweep(place)
        if digests.read_sealed(place / "of.json") != made_of:
            files.remove(place)
            digests.write_sealed(place / "of.json", made_of)
        parts = {start: table[start : start + size] for start in range(0, len(table), size)}
        kept = {start: digests.read_sealed(place / f"{start:06d}.json") for start in parts}
        known = {start: part for start, part in kept.items() if part is not None}
        if missing := {start: part for start, part in parts.items() if start not in known}:
            known |= _score_parts(judge.subject, missing, asked, config, place)
    return np.concatenate([np.asarray(known[start]["logprob"], dtype=float) for start in parts])


def _score_parts(
    subject: Subject, parts: dict[int, pd.DataFrame], asked: dict[str, Problem], config: EvalConfig, place: Path
) -> dict[int, dict]:
    """Loads a model and writes the scores of these parts of a table, each when it is whole."""
    longest = config.max_prompt_tokens + config.max_completion_tokens
    model, tokenizer = loading.load(subject.source, longest, subject.load_in_4bit)
    if subject.adapter is not None:
        model = loading.load_adapter(model, tokenizer, subject.adapter)
    found = {}
    with sampling.Progress("scoring", sum(map(len, parts.values()))) as progress:
        for start, part in parts.items():
            prompts = tokens.prompt_ids(tokenizer, [asked[name].messages for name in part["problem_id"]])
            ids = [list(map(int, one)) for one in part["ids"]]
            scores = scoring.sequence_scores(model, prompts, ids, tokenizer.pad_token_id, token_budget=config.token_budget)
            found[start] = {"logprob": scores.logprob.tolist()}
            digests.write_sealed(place / f"{start:06d}.json", found[start])
            progress.add(len(part), sum(map(len, ids)))
    return found
