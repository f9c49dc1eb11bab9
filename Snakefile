# Batch reproduction of a profile: each job is one papermill call. `make reproduce PROFILE=quick` runs it.
# Only small files that appear at a job's very end are declared as outputs: Snakemake deletes those of a failed job, and
# checkpoints must outlive it, because a job that runs again resumes from them.
from lib import runs

PROFILE = config.get("profile", "quick")
DESCRIBED = runs.load_profile(PROFILE)
RUNS = runs.profile_runs(DESCRIBED)
BASES = {f"base-{run['model'].split('/')[-1]}": run["model"] for run in DESCRIBED["runs"]}
FOLDER = f"{runs.HOME}/runs/{PROFILE}"
RESULTS = f"{runs.HOME}/data/results/{PROFILE}"
MEMORY = int(DESCRIBED.get("memory_mb", 1500))
# The notebook is written under a hidden name and renamed at the end; threads are fixed, so results do not depend on cores.
# What the notebook prints to stderr, its progress bars above all, goes to the terminal, less empty lines and a kernel's notice.
PAPERMILL = (
    "mkdir -p $(dirname {output[0]}) && PARTIAL=$(dirname {output[0]})/.partial-$(basename {output[0]}) && "
    "OMP_NUM_THREADS={threads} TQDM_MININTERVAL=10 PYDEVD_DISABLE_FILE_VALIDATION=1 "
    "papermill {input[0]} $PARTIAL --log-output --log-level WARNING --no-progress-bar -p PROFILE " + PROFILE + " {params.set} "
    "2>&1 | {{ grep --line-buffered -v -e '^$' -e 'Kernel is running over TCP' || true; }} && mv $PARTIAL {output[0]}"
)


def flags(**parameters):
    """papermill's flags for parameters that are set."""
    return " ".join(f"-p {name.upper()} {value}" for name, value in parameters.items() if value is not None)


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
        set=lambda w: flags(run=w.run, **RUNS[w.run]),
    threads: 1
    priority: 1
    resources:
        mem_mb=MEMORY,
    message:
        "train {wildcards.run}"
    shell:
        PAPERMILL


rule evaluate:
    input:
        "notebooks/06_evaluate.ipynb",
        f"{FOLDER}/{{run}}/05_train.ipynb",
    output:
        f"{FOLDER}/{{run}}/06_evaluate.ipynb",
    params:
        set=lambda w: flags(run=w.run),
    threads: 1
    resources:
        mem_mb=MEMORY,
    message:
        "evaluate {wildcards.run}"
    shell:
        PAPERMILL


rule evaluate_base:
    input:
        "notebooks/06_evaluate.ipynb",
    output:
        f"{FOLDER}/{{base}}/06_evaluate.ipynb",
    params:
        set=lambda w: flags(model=BASES[w.base]),
    threads: 1
    resources:
        mem_mb=MEMORY,
    message:
        "evaluate {wildcards.base}"
    shell:
        PAPERMILL


rule compare:
    input:
        "notebooks/07_compare.ipynb",
        expand(f"{FOLDER}/{{name}}/06_evaluate.ipynb", name=[*BASES, *RUNS]),
    output:
        f"{FOLDER}/07_compare.ipynb",
    params:
        set="",
    message:
        "compare all runs"
    shell:
        PAPERMILL
