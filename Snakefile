# Batch reproduction of a profile: each job is one papermill call (lib.reproduce). `make reproduce PROFILE=quick` runs it.
# Only small files that appear at a job's very end are declared as outputs: Snakemake deletes those of a failed job, and
# checkpoints must outlive it, because a job that runs again resumes from them.
import json

from lib import profiles
from lib.models import built
from lib.reports import optima
from lib.rewards import verifier
from lib.storage import folders

PROFILE = profiles.load(config.get("profile", "quick"))
RUNS = PROFILE.rows
BASES = {folders.base_name(model): model for model in PROFILE.models}
FOLDER = f"{folders.HOME}/runs/{PROFILE.name}"
MEMORY = PROFILE.memory_mb
MINUTES = round(60 * PROFILE.hours_per_job)
CHECKPOINT = {} if PROFILE.checkpoint == "last" else {"checkpoint": PROFILE.checkpoint}
# One GPU per job where a model is not a tiny base: on one machine jobs then follow one another, on a cluster each gets its own.
GPU = int(PROFILE.needs_gpu)
# Threads are fixed, so that results do not depend on how many cores there are.
THREADS = 4 if GPU else 1
JOB = (
    "OMP_NUM_THREADS={threads} TQDM_MININTERVAL=60 PYDEVD_DISABLE_FILE_VALIDATION=1 "
    "exec python -m lib.reproduce job {input[0]:q} {output[0]:q} {params.set:q}"
)


def parameters(**values):
    """A notebook's parameters as JSON."""
    return json.dumps({"PROFILE": PROFILE.name} | {name.upper(): value for name, value in values.items()})


def weights(model):
    """The weight file of a model of the kit, which a job depends on; nothing for other models."""
    folder = built.place_of(model)
    return [f"{folder}/model.safetensors"] if folder else []


def started_from(run):
    """The run whose policy a run starts from, if it does."""
    start = PROFILE.train_config(**RUNS[run]).start
    return [f"{FOLDER}/{start}/05_train.ipynb"] if start else []


def has_forecast(base):
    """Whether a base is sampled as a forecast needs it (notebook 08): from p itself, twice or more per problem."""
    evaluation = PROFILE.eval_configs(BASES[base])[0]
    return evaluation.samples_from_p() and evaluation.samples > 1


HAS_ROUNDS = any(row.get("round", 1) > 1 for row in RUNS.values())
# What a later round leads to is not the forecast of the base's samples, nor its optimum.
IS_FORETOLD = not PROFILE.compares_rates and not HAS_ROUNDS
HAS_OPTIMUM = IS_FORETOLD and any(optima.runs_of(PROFILE, model) for model in PROFILE.models)


AUDIT = [f"{FOLDER}/09_audit.ipynb"] if all(map(has_forecast, BASES)) and not PROFILE.compares_rates else []


wildcard_constraints:
    run="|".join(map(re.escape, RUNS)),
    base="|".join(map(re.escape, BASES)),
    notebook="|".join(PROFILE.notebooks) or "none",
    closing="|".join(PROFILE.closing) or "none",


rule all:
    input:
        f"{FOLDER}/control.ok",


rule control:  # last, so that a control that moved costs no table and no figure
    input:
        f"{FOLDER}/07_compare.ipynb",
        expand(f"{FOLDER}/{{name}}.ipynb", name=PROFILE.notebooks),
        [f"{FOLDER}/{base}/08_sharpening_without_training.ipynb" for base in filter(has_forecast, BASES) if IS_FORETOLD],
        [f"{FOLDER}/10_own_optimum.ipynb"] if HAS_OPTIMUM else [],
        AUDIT,
        expand(f"{FOLDER}/{{name}}.ipynb", name=PROFILE.closing),
    output:
        touch(f"{FOLDER}/control.ok"),
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
    message:
        "look at the control"
    shell:
        f"python -m lib.reports.rates {PROFILE.name}"


rule notebook:
    input:
        "notebooks/{notebook}.ipynb",
    output:
        f"{FOLDER}/{{notebook}}.ipynb",
    params:
        set="{}",
    threads: 1
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
    message:
        "notebook {wildcards.notebook}"
    shell:
        JOB


rule build:
    output:
        f"{folders.HOME}/runs/models/{{model}}/model.safetensors",
    wildcard_constraints:
        model="|".join(map(re.escape, built.NAMES)),
    threads: 1
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
    message:
        "build the model {wildcards.model}"
    shell:
        "OMP_NUM_THREADS={threads} TQDM_MININTERVAL=60 exec python -m lib.reproduce build {wildcards.model:q}"


rule train:
    input:
        "notebooks/05_train.ipynb",
        lambda w: weights(RUNS[w.run]["model"]),
        lambda w: started_from(w.run),
    output:
        f"{FOLDER}/{{run}}/05_train.ipynb",
    params:
        set=lambda w: parameters(run=w.run, **RUNS[w.run]),
        profile=lambda w: str(PROFILE.section("train", RUNS[w.run]["model"])),
    threads: THREADS
    priority: 1
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
        gpu=GPU,
    message:
        "train {wildcards.run}"
    shell:
        JOB


rule evaluate:
    input:
        "notebooks/06_evaluate.ipynb",
        f"{FOLDER}/{{run}}/05_train.ipynb",
    output:
        f"{FOLDER}/{{run}}/06_evaluate.ipynb",
    params:
        set=lambda w: parameters(run=w.run, **CHECKPOINT),
        profile=lambda w: str(PROFILE.section("evaluate", RUNS[w.run]["model"])),
        grader=verifier.fingerprint(),
    threads: THREADS
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
        gpu=GPU,
    message:
        "evaluate {wildcards.run}"
    shell:
        JOB


rule evaluate_base:
    input:
        "notebooks/06_evaluate.ipynb",
        lambda w: weights(BASES[w.base]),
    output:
        f"{FOLDER}/{{base}}/06_evaluate.ipynb",
    params:
        set=lambda w: parameters(model=BASES[w.base]),
        profile=lambda w: str(PROFILE.section("evaluate", BASES[w.base])),
        grader=verifier.fingerprint(),
    threads: THREADS
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
        gpu=GPU,
    message:
        "evaluate {wildcards.base}"
    shell:
        JOB


rule compare:
    input:
        "notebooks/07_compare.ipynb",
        expand(f"{FOLDER}/{{name}}/06_evaluate.ipynb", name=[*BASES, *RUNS]),
    output:
        f"{FOLDER}/07_compare.ipynb",
    params:
        set=parameters(),
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
    message:
        "compare all runs"
    shell:
        JOB


rule without_training:
    input:
        "notebooks/08_sharpening_without_training.ipynb",
        f"{FOLDER}/{{base}}/06_evaluate.ipynb",
        f"{FOLDER}/07_compare.ipynb",
    output:
        f"{FOLDER}/{{base}}/08_sharpening_without_training.ipynb",
    params:
        set=lambda w: parameters(model=BASES[w.base], **PROFILE.without_training),
    threads: THREADS
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
        gpu=GPU,
    message:
        "sharpen {wildcards.base} without training"
    shell:
        JOB


rule own_optimum:
    input:
        "notebooks/10_own_optimum.ipynb",
        f"{FOLDER}/07_compare.ipynb",
    output:
        f"{FOLDER}/10_own_optimum.ipynb",
    params:
        set=parameters(),
    threads: 1
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
    message:
        "distances of all runs to their optima"
    shell:
        JOB


rule audit:
    input:
        "notebooks/09_audit.ipynb",
        expand(f"{FOLDER}/{{name}}/06_evaluate.ipynb", name=[*BASES, *RUNS]),
    output:
        f"{FOLDER}/09_audit.ipynb",
    params:
        set=parameters(),
    threads: THREADS
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
        gpu=GPU,
    message:
        "audit all runs"
    shell:
        JOB


rule closing:  # a notebook that reads all results
    input:
        "notebooks/{closing}.ipynb",
        f"{FOLDER}/07_compare.ipynb",
        AUDIT,
        [f"{FOLDER}/10_own_optimum.ipynb"] if HAS_OPTIMUM else [],
    output:
        f"{FOLDER}/{{closing}}.ipynb",
    params:
        set=parameters(),
    threads: THREADS
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
        gpu=GPU,
    message:
        "notebook {wildcards.closing}"
    shell:
        JOB
