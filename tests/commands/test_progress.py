"""What is shown of Snakemake's lines: recorded ones, with a clock of our own."""

from lib import progress

LINES = """\
Assuming unrestricted shared filesystem usage.

SNAKEMAKE
=========
  Date: 2026-11-26 02:07:49
  Host: vm
Building DAG of jobs...
Provided resources: gpu=Resource("gpu", 1), mem_mb=Resource("mem_mb", 24105)
Job stats:
job                 count
----------------  -------
train                   2
all                     1
total                   3

Select jobs to execute...
Execute 1 jobs...
[Thu Nov 26 02:08:06 2026]
Job 6: train one_wording-task-s0
Reason: Missing output files: /x/05_train.ipynb
one_wording-task-s0:   0%|          | 0/140 [00:00<?, ?step/s]
one_wording-task-s0:  40%|████      | 56/140 [00:30<00:45,  1.9step/s, accuracy=0.52]
one_wording-task-s0: 100%|██████████| 140/140 [01:10<00:00,  1.9step/s, accuracy=0.93]
[Thu Nov 26 02:08:06 2026]
Finished jobid: 6 (Rule: train)
1 of 3 steps (33%) done
Job 7: train one_wording-sharpen-s0
Error in rule train:
    message: train one_wording-sharpen-s0
    jobid: 7
    shell:
        python -m lib.reproduce job
Finished jobid: 7 (Rule: train)
2 of 3 steps (67%) done
rule all:
    input: /x/07_compare.ipynb
    jobid: 0
    reason: Input files updated by another job
    resources: tmpdir=/tmp
Finished jobid: 0 (Rule: all)
3 of 3 steps (100%) done
Complete log(s): /x
"""


def test_a_line_for_each_job_with_the_time_left_and_every_line_of_the_jobs():
    ticks = iter([0.0, 120.0, 240.0, 250.0])
    shown = list(progress.shown(LINES.splitlines(keepends=True), lambda: next(ticks)))
    assert shown[0].startswith("one_wording-task-s0:  40%")
    assert shown[1] == "1 of 2 done: train one_wording-task-s0; about 2 min left"
    assert shown[2] == "Error in rule train:" and {"    shell:", "    jobid: 7"} <= set(shown)  # a failure is shown in full
    assert shown[-1] == "2 of 2 done: train one_wording-sharpen-s0" and not any("rule all" in line for line in shown)


def test_what_is_unknown_is_shown():
    lines = ["0 of 5 steps\n", "Nothing to be done (all requested files are present and up to date).\n", "A sentence of the kit.\n"]
    assert list(progress.shown(lines)) == [line.strip() for line in lines]
