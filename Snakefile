# Batch reproduction of a profile: each job is one papermill call (lib.reproduce). `make reproduce PROFILE=quick` runs it.
# Only small files that appear at a job's very end are declared as outputs: Snakemake deletes those of a failed job, and
# checkpoints must outlive it, because a job that runs again resumes from them.
import json

from lib import runs

PROFILE = config.get("profile", "quick")
DESCRIBED = runs.load_profile(PROFILE)
RUNS = runs.profile_runs(DESCRIBED)
BASES = {f"base-{run['model'].split('/')[-1]}": run["model"] for run in DESCRIBED["runs"]}
FOLDER = f"{runs.HOME}/runs/{PROFILE}"
RESULTS = f"{runs.HOME}/data/results/{PROFILE}"
MEMORY = int(DESCRIBED.get("memory_mb", 1500))
# Threads are fixed, so that results do not depend on how many cores there are.
JOB = (
    "OMP_NUM_THREADS={threads} TQDM_MININTERVAL=10 PYDEVD_DISABLE_FILE_VALIDATION=1 "
    "exec python -m lib.reproduce job {input[0]} {output[0]} {params.set:q}"
)


def parameters(**values):
    """A notebook's parameters as JSON."""
    return json.dumps({"PROFILE": PROFILE} | {name.upper(): value for name, value in values.items()})


wildcard_constraints:
    run="|".join(map(re.escape, RUNS)),
    base="|".join(map(re.escape, BASES)),


rule all:
    input:
        f"{FOLDER}/07_compare.ipynb",


rule train:
    input:
        "notebooks/05_train.ipynb",
    output:
        f"{FOLDER}/{{run}}/05_train.ipynb",
    params:
        set=lambda w: parameters(run=w.run, **RUNS[w.run]),
    threads: 1
    priority: 1
    resources:
        mem_mb=MEMORY,
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
        set=lambda w: parameters(run=w.run),
    threads: 1
    resources:
        mem_mb=MEMORY,
    message:
        "evaluate {wildcards.run}"
    shell:
        JOB


rule evaluate_base:
    input:
        "notebooks/06_evaluate.ipynb",
    output:
        f"{FOLDER}/{{base}}/06_evaluate.ipynb",
    params:
        set=lambda w: parameters(model=BASES[w.base]),
    threads: 1
    resources:
        mem_mb=MEMORY,
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
    message:
        "compare all runs"
    shell:
        JOB
