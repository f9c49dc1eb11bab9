"""`make bench-gpu`: where a training step's time and memory go, on the GPU of this machine; results in data/results/gpu/.

Models are a tiny base, and random weights in the shapes of the 3 B models, which is enough for speed and memory. Random weights
hardly ever write EOS, so every completion runs to its full length: the worst case. Each case runs in a process of its own, and is
saved when it ends; what is there is not run again without --again. Memory is what CUDA itself takes plus the allocator's peak, so
that nothing else may run on the GPU meanwhile.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lib.models import environment, loading, tiny
from lib.storage import files, folders
from lib.training import train
from lib.training.config import TrainConfig

QWEN, LLAMA, QWEN3 = "Qwen/Qwen2.5-3B-Instruct", "unsloth/Llama-3.2-3B-Instruct", "Qwen/Qwen3-4B-Instruct-2507"
CONFIGS: dict[str, dict] = {  # from the models' published config.json
    QWEN: {"model_type": "qwen2", "vocab_size": 151_936, "hidden_size": 2048, "intermediate_size": 11_008}
    | {"num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 2}
    | {"tie_word_embeddings": True, "max_position_embeddings": 32_768},
    LLAMA: {"model_type": "llama", "vocab_size": 128_256, "hidden_size": 3072, "intermediate_size": 8192}
    | {"num_hidden_layers": 28, "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128}
    | {"tie_word_embeddings": True, "max_position_embeddings": 131_072},
    QWEN3: {"model_type": "qwen3", "vocab_size": 151_936, "hidden_size": 2560, "intermediate_size": 9728}
    | {"num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}
    | {"tie_word_embeddings": True, "max_position_embeddings": 262_144},
}
BACKENDS = ("unsloth", "plain")
WEIGHTS = Path(tempfile.gettempdir()) / "kit-bench-weights"
PROMPT = 48  # tokens that a prompt may have; it counts into a case's tokens
PARTS = ("generation", "likelihood", "verifier", "loss", "update", "other")


@dataclass(frozen=True)
class Case:
    """One measurement: `tokens` with the prompt, `cap` the share of the GPU in GB that the process may use."""

    model: str
    objective: str
    backend: str
    cap: int | None = None
    tokens: int = 512
    micro_batch: int = 8
    steps: int = 1  # measured, after one that is not; with 0 the first one is, and what is compiled in it
    prompts: int = 8
    completions: int = 8

    @property
    def name(self) -> str:
        """What tells it from other cases."""
        return " ".join(str(value) for value in dataclasses.astuple(self))


def cases() -> list[Case]:
    """All cases, the most telling first: those with 2,048 tokens take minutes each."""
    small = [Case("one_wording", r, b, None, 96, 64, 5) for b in BACKENDS for r in ("task", "tempered")]
    full = Case(QWEN, "tempered", "unsloth", 24, 2048, 4, 0)
    pairs = [Case(m, r, "unsloth", 24) for m in (QWEN, LLAMA, QWEN3) for r in ("tempered", "task")]
    plain = [Case(m, "tempered", "plain", 24, steps=0) for m in (QWEN, LLAMA)]
    rest = [dataclasses.replace(full, model=LLAMA), dataclasses.replace(full, cap=48, micro_batch=8)]
    rest += [dataclasses.replace(full, backend="plain"), dataclasses.replace(full, objective="task")]
    return [*small, full, *pairs[:2], plain[0], *pairs[2:], plain[1], *rest]


def weights_of(model: str) -> str:
    """A tiny base's name, or the folder of random weights in a model's shape."""
    return model if model in tiny.BASES else str(WEIGHTS / model.replace("/", "--"))


def build(config: dict, folder: Path) -> Path:
    """A folder with random weights of a configuration, and a tokenizer of its size: the tiny bases' with unused tokens.

    It appears when it is whole.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = tiny.build_tokenizer()
    tokenizer.add_tokens([f"<unused{i}>" for i in range(config["vocab_size"] - len(tokenizer))])
    ids = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        made = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config | ids), dtype=torch.bfloat16)
    made.generation_config.eos_token_id = tokenizer.eos_token_id
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    made.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    return partial.rename(folder)


class Clock:
    """Seconds by name since the last `take`, with the GPU's work awaited at each edge."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def time(self, name: str):
        """Adds what the block takes."""
        started = self._now()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._now() - started

    def around(self, owner, method: str, name: str) -> None:
        """Times every call of a method of a class."""
        original, clock = getattr(owner, method), self

        def timed(*arguments, **keywords):
            with clock.time(name):
                return original(*arguments, **keywords)

        setattr(owner, method, timed)

    def take(self) -> dict[str, float]:
        """The seconds so far; the clock starts anew."""
        taken, self.seconds = self.seconds, {}
        return taken

    @staticmethod
    def _now() -> float:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()


def split(step: float, seconds: dict[str, float]) -> dict[str, float]:
    """A step's seconds by PARTS, from what its nested calls took; they sum to the step."""
    generated, rewarded = seconds["generated"], seconds["rewarded"]
    parts = {
        "generation": generated - rewarded,
        "likelihood": seconds["scored"],
        "verifier": rewarded - seconds["scored"],
        "loss": seconds["stepped"] - generated,
        "update": seconds["updated"],
    }
    return parts | {"other": step - sum(parts.values())}


def instrument(clock: Clock) -> list[dict[str, float]]:
    """Puts the clock around the trainer's calls; the list that it returns gets a row a step. Call it before training."""
    import torch
    import trl

    from lib.training import reward, trainer

    class Timed(trl.GRPOTrainer):  # after Unsloth's import, which replaces the class
        pass

    trl.GRPOTrainer, rows = Timed, []
    clock.around(Timed, "_generate_and_score_completions", "generated")
    clock.around(Timed, "training_step", "stepped")
    clock.around(reward.RewardFunction, "__call__", "rewarded")
    clock.around(reward.RewardFunction, "_inputs", "scored")
    clock.around(torch.optim.AdamW, "step", "updated")
    log = trainer.RunWriter.on_log

    def logged(writer, *arguments, logs=None, **keywords):
        log(writer, *arguments, logs=logs, **keywords)
        if "loss" in (logs or {}):
            row, seconds = writer.record.rows[-1], clock.take()
            rows.append({"step": row["seconds"], "tokens": row["tokens"]} | split(row["seconds"], seconds))

    trainer.RunWriter.on_log = logged
    return rows


def settings_of(case: Case) -> TrainConfig:
    """The training settings of a case."""
    return TrainConfig(
        model=weights_of(case.model), objective=case.objective, backend=case.backend, engine="huggingface", steps=case.steps + 1,
        train_problems=64, prompts_per_step=case.prompts, completions_per_prompt=case.completions,
        micro_batch=case.micro_batch, max_prompt_tokens=PROMPT, max_completion_tokens=case.tokens - PROMPT,
        token_budget=8192, lora_rank=32, lora_alpha=64, warmup_steps=0, save_every=100,
    )  # fmt: skip


def measure(case: Case) -> dict:
    """Runs a case in this process: mean seconds per step by part, tokens per second, peak memory in GiB."""
    if case.backend == "unsloth":
        loading.import_unsloth()
    import torch

    cuda = torch.cuda.is_available()
    if cuda and case.cap:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, case.cap * 1e9 / total))
    settings = settings_of(case)
    rows = instrument(Clock())
    with tempfile.TemporaryDirectory() as folder:
        train.train(train.prepare(Path(folder) / "run", settings))
    counted = rows[1:] or rows
    means = {name: sum(row[name] for row in counted) / len(counted) for name in ("step", "tokens", *PARTS)}
    found = {"seconds": means.pop("step"), "tokens_per_step": means.pop("tokens"), "parts": means}
    found["tokens_per_second"] = found["tokens_per_step"] / found["seconds"]
    if cuda:
        free, total = torch.cuda.mem_get_info()
        context, reserved = total - free - torch.cuda.memory_reserved(), torch.cuda.max_memory_reserved()
        sizes = {"context": context, "peak_allocated": torch.cuda.max_memory_allocated(), "peak": context + reserved}
        found |= {f"{name}_gib": value / 2**30 for name, value in sizes.items()}
    return found


def _call(arguments: list[str], seconds: float) -> tuple[str, str | None]:
    """(what this module printed in a process of its own, what went wrong). Both backends get the allocator that Unsloth takes."""
    command = [sys.executable, "-m", "tests.bench.gpu", *arguments]
    environment = {"PYTORCH_ALLOC_CONF": "expandable_segments:True"} | os.environ
    try:
        done = subprocess.run(command, cwd=folders.ROOT, env=environment, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return "", f"not done after {seconds:.0f} s"
    return done.stdout, (done.stderr.strip().splitlines() or ["no message"])[-1][:500] if done.returncode else None


def run_case(case: Case, seconds: float) -> dict:
    """Measures a case; what goes wrong becomes its `error`. Weights are built in another process: they leave nothing behind."""
    if case.model in CONFIGS and not Path(weights_of(case.model)).exists():
        _, error = _call(["build", case.model], seconds)
        if error:
            return {"error": f"building the weights: {error}"}
    printed, error = _call(["one", json.dumps(dataclasses.asdict(case))], seconds)
    return {"error": error} if error else json.loads(printed.strip().splitlines()[-1])


def ratios(found: dict[str, dict]) -> dict[str, float]:
    """The issue's ratios, for each pair of cases that differ in one thing alone and both worked."""
    known = {Case(**row["case"]): row["result"] for row in found.values() if "error" not in row["result"]}
    made = {}
    for case, result in known.items():
        for field, other in (("objective", "task"), ("backend", "plain")):
            base = known.get(dataclasses.replace(case, **{field: other}))
            if base is not None and getattr(case, field) != other:
                made[f"seconds: {case.name} / {other}"] = result["seconds"] / base["seconds"]
                if field == "backend" and "peak_gib" in result:
                    made[f"memory: {case.name} / {other}"] = result["peak_gib"] / base["peak_gib"]
    return made


def run_all(chosen: list[Case], out: Path, again: bool, seconds: float, run=run_case) -> dict:
    """Runs the cases that are not in the file yet, and saves after each."""
    found = files.read_json(out) if out.exists() else {"cases": {}}
    for case in chosen:
        if not again and case.name in found["cases"]:
            continue
        print(case.name, end=": ", flush=True)
        result = run(case, seconds)
        print(result.get("error") or f"{result['seconds']:.2f} s a step", flush=True)
        found["cases"][case.name] = {"case": dataclasses.asdict(case), "result": result}
        found |= {"ratios": ratios(found["cases"]), "environment": environment.describe()}
        files.write_json(out, found)
    return found


def main(arguments: list[str]) -> None:
    """The command line; raises SystemExit with a sentence where there is no GPU."""
    if arguments[:1] == ["one"]:
        print(json.dumps(measure(Case(**json.loads(arguments[1])))))
        return
    if arguments[:1] == ["build"]:
        build(CONFIGS[arguments[1]], Path(weights_of(arguments[1])))
        return
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--again", action="store_true", help="repeat cases that are in the file")
    parser.add_argument("--seconds", type=float, default=580, help="that a case may take")
    parser.add_argument("--out", type=Path, help="the JSON file; by default data/results/gpu/<device>.json")
    given = parser.parse_args(arguments)
    if not loading.gpu_is_there():
        sys.exit("There is no GPU here that torch can use: run this on a machine with one.")
    import torch

    device = re.sub(r"\W+", "-", torch.cuda.get_device_name().lower())
    out = given.out or folders.ROOT / "data" / "results" / "gpu" / f"{device}.json"
    found = run_all([case for case in cases() if given.only in case.name], out, given.again, given.seconds)
    print(json.dumps(found.get("ratios", {}), indent=2), f"written to {out}", sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
