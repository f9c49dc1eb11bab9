"""Batch reproduction: `python -m lib.reproduce quick` becomes Snakemake; its jobs come back here, each one papermill call.

Made to be killed at any moment: a notebook appears under its name only when it ran to its end, a job ends when its Snakemake is
gone, and a second start waits for a first one that is still alive."""

import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from lib import profiles
from lib.models import built
from lib.storage import files, folders
from lib.storage.errors import UsageError

LEADER = "KIT_REPRODUCE_PROCESS"  # the process id of the Snakemake that a job belongs to


def reproduce(profile: str, targets: list[str]) -> None:
    """Becomes the Snakemake process that brings a profile's results up to date, once no other one is at work here."""
    chosen = profiles.load(profile)
    planned = {"-n", "--dry-run", "--dryrun"} & set(targets)
    if chosen.needs_gpu and not planned:
        _examine(profile)
    cores = os.environ.get("JOBS") or os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    memory = max(memory, chosen.memory_mb)  # what a job may take is a guess, and must not keep it from starting
    command = ["snakemake", "--config", f"profile={profile}", "--resources", f"mem_mb={memory}", "gpu=1"]
    command += ["--rerun-triggers", "mtime", "params", "input", "--rerun-incomplete", "--nolock"]
    command += ["--cores", str(cores)]  # last, since it takes one word: after it come targets
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # a trainer refuses to see more than one
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ[LEADER] = str(os.getpid())
    os.chdir(folders.ROOT)
    with files.lock(folders.HOME / "runs") as descriptor:
        os.set_inheritable(descriptor, True)  # Snakemake holds the lock from here on, also when `make` is killed
        if not planned:
            _show()
        os.execvp(command[0], [*command, *targets])


def _show() -> None:
    """Lets what this process writes from here on pass through `lib.progress`, which ends with the last of its writers."""
    reader = subprocess.Popen([sys.executable, "-m", "lib.progress"], stdin=subprocess.PIPE, start_new_session=True)
    assert reader.stdin is not None
    for stream in (1, 2):
        os.dup2(reader.stdin.fileno(), stream)


def _examine(profile: str) -> None:
    """Prints what this machine means for a GPU profile; raises UsageError if it cannot run it."""
    from lib import doctor

    findings = doctor.examine(profile)
    print(doctor.report(findings, profile), flush=True)
    if not doctor.can_run(findings):
        raise UsageError("Nothing was started.")


def job(notebook: str, output: Path, parameters: dict) -> None:
    """Runs one notebook through papermill; what it prints to stderr, its progress bars above all, goes to the terminal."""
    import papermill

    threading.Thread(target=_end_with_leader, daemon=True).start()
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".partial-{output.name}")
    os.environ.setdefault("KIT_FRAMES", "1")  # whoever reads the executed notebook can move its first sliders (lib.notebooks)
    try:
        quiet = {"progress_bar": False, "extra_arguments": ["--log-level=ERROR"]}  # without the kernel's own notices
        papermill.execute_notebook(notebook, partial, parameters, stderr_file=_Lines(), **quiet)
    except papermill.PapermillExecutionError as error:
        raise UsageError(f"{notebook} failed: {error.evalue} ({error.ename}; the whole story is in {partial})") from error
    os.replace(partial, output)


class _Lines(io.TextIOBase):
    """A kernel's stderr, a line for each state of a progress bar, so that jobs side by side do not overwrite each other."""

    def write(self, text: str) -> int:
        for line in filter(str.strip, text.replace("\r", "\n").splitlines()):
            print(line.rstrip(), file=sys.stderr, flush=True)
        return len(text)


def _end_with_leader() -> None:
    """Ends this process when its Snakemake is gone; the notebook's kernel notices by itself and ends, too."""
    leader = int(os.environ.get(LEADER, "0"))
    while leader:
        try:
            os.kill(leader, 0)
        except ProcessLookupError:
            os._exit(1)
        time.sleep(0.5)


def main(arguments: list[str]) -> None:
    """`job NOTEBOOK OUTPUT JSON` is for the Snakefile, `build MODEL` also for people; anything else is a profile, with arguments of
    Snakemake."""
    try:
        if arguments[0] == "job":
            job(arguments[1], Path(arguments[2]), json.loads(arguments[3]))
        elif arguments[0] == "build":
            threading.Thread(target=_end_with_leader, daemon=True).start()
            print(built.build(*arguments[1:2] or [""]))
        else:
            reproduce(arguments[0], arguments[1:])
    except UsageError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
