"""What `make reproduce` shows: a line for each job that has ended, with the time that is left, and what the jobs say themselves.

Snakemake's other messages are left out. `python -m lib.progress` reads them from its input, until whoever writes them is gone."""

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator

STARTED = re.compile(r"Job (\d+): (.+)")
ENDED = re.compile(r"Finished jobid: (\d+)")
COUNTED = re.compile(r"([1-9]\d*) of (\d+) steps \(\d+%\) done")
CHATTER = re.compile(  # and bars that have just begun or are full, beside which the job says what it does
    r"\s*$|[\w .-]+: +(0|100)%\||\[\w{3} \w{3} |Assuming|SNAKEMAKE|=+$|Building DAG|Using shell|Provided|"
    r"Rules claiming|Job stats|job +count|-+ +-+|\w+ +\d+$|Select jobs|Execute \d+ jobs|Reason|Complete log|Elapsed time|"
    r"Touching output|(local)?rule all|"
    r"  (Date|Workflow ID|Platform|Host|User|Snakemake version|Python version|Command|Snakefile|Base directory|Run directory|"
    r"Working directory|Config file|Config MD5)"
)


def shown(lines: Iterable[str], clock: Callable[[], float] = time.monotonic) -> Iterator[str]:
    """What of Snakemake's lines and its jobs' is shown. The time left is that of the jobs so far, for as many as are to come."""
    names: dict[str, str] = {}
    started, ended, whole, of_all = clock(), "", 0, False
    for line in lines:
        of_all = bool(re.match(r"(local)?rule all", line)) or of_all and line.startswith("    ")  # what stands for all of them
        if of_all:
            continue
        if re.match(r"all +1$", line):
            whole = 1
        elif found := STARTED.match(line):
            names[found[1]] = found[2].strip()
        elif found := ENDED.match(line):
            ended = names.get(found[1], "")
        elif found := COUNTED.match(line):
            done, total = int(found[1]), int(found[2]) - whole
            left = (clock() - started) / done * (total - done)
            if ended:
                yield f"{done} of {total} done: {ended}" + (f"; about {left / 60:.0f} min left" if done < total else "")
        elif not CHATTER.match(line):
            yield line.rstrip()


if __name__ == "__main__":
    for text in shown(sys.stdin):
        print(text, flush=True)
