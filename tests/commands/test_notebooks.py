"""What notebooks need: parameters that are checked, sliders that do no harm, and thin cells without outputs."""

import json
import re

import pytest

from lib import notebooks
from lib.storage.errors import UsageError
from tests.commands.test_pipeline import BIN, NOTEBOOKS, call

ASKED = {path.stem: path.read_text().replace("\\", "") for path in NOTEBOOKS}
SOLUTIONS = [(name, number) for name, text in ASKED.items() for number in (1, 2, 3) if f'check_answer("{name}", {number}' in text]


def test_a_misspelt_parameter_is_refused_with_the_right_one():
    good = {"PROFILE": "quick", "OBJECTIVE": "task", "In": [], "_": 1, "lower": 2}
    notebooks.check_parameters("05_train", dict(good))
    notebooks.check_parameters("04_base_model", {"BASE": "one_wording", "OUT": "x", "In": [], "Out": {}})
    with pytest.raises(UsageError, match="Unknown parameter OBJECTIVEN: did you mean OBJECTIVE"):
        notebooks.check_parameters("05_train", good | {"OBJECTIVEN": "task"})
    with pytest.raises(UsageError, match="Unknown parameter alpha: did you mean ALPHA"):
        notebooks.check_parameters("05_train", good | {"alpha": 2})
    with pytest.raises(UsageError, match="Unknown parameter QQQ: this notebook has ALPHA"):
        notebooks.check_parameters("05_train", good | {"QQQ": 1})


def test_without_a_person_the_first_state_is_drawn():
    from ipywidgets import FloatSlider

    drawn = []
    notebooks.explore(lambda alpha, exact: drawn.append((alpha, exact)), alpha=FloatSlider(value=2.5, max=4), exact=True)
    assert drawn == [(2.5, True)]


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("03_rewards", ["-p", "ANSWR", "7"], "Unknown parameter ANSWR: did you mean ANSWER?"),
        ("05_train", ["-p", "OBJECTIVEE", "task"], "Unknown parameter OBJECTIVEE: did you mean OBJECTIVE?"),
        ("05_train", ["-p", "OBJECTIVE", "sharp"], "Unknown objective 'sharp'"),
        ("05_train", ["-p", "SEED", "x"], "seed is 'x': it must be a valid integer"),
        ("05_train", ["-p", "ALPHA", "-1", "-p", "OBJECTIVE", "sharpen"], "alpha is -1.0: it must be a finite number"),
        ("05_train", ["-p", "MODEL", "nowhere"], "There is no model 'nowhere'"),
        ("06_evaluate", ["-p", "RUN", "nowhere"], "is not there: check its name"),
        ("06_evaluate", ["-p", "CHECKPOINT", "best", "-p", "MODEL", "one_wording"], "a base has no checkpoints"),
        ("07_compare", ["-p", "PROFIL", "smoke"], "Unknown parameter PROFIL: did you mean PROFILE?"),
        ("08_sharpening_without_training", ["-p", "MODEL", "nowhere"], "There is no model 'nowhere'"),
        ("09_audit", ["-p", "TRAIND", "x"], "Unknown parameter TRAIND: did you mean TRAINED?"),
    ],
)
def test_bad_parameters_are_refused(name, flags, message, tmp_path):
    result = call(BIN / "papermill", f"notebooks/{name}.ipynb", tmp_path / "out.ipynb", *flags, home=tmp_path)
    assert result.returncode != 0 and message in result.stderr
    assert not list((tmp_path / "runs").rglob("config.json"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_committed_clean_and_thin(path):
    cells = json.loads(path.read_text())["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    assert all(not c["outputs"] and c["execution_count"] is None for c in code)
    assert sum("parameters" in c["metadata"].get("tags", []) for c in code) == 1
    sources = ["".join(c["source"]) for c in code]
    lengths = sorted(len(source.splitlines()) for source in sources)
    assert lengths[-1] <= 25 and lengths[len(lengths) // 2] <= 8
    assert sum(length <= 15 for length in lengths) >= 0.9 * len(lengths)
    assert sum(source.count("def ") for source in sources) <= 2
    assert max(len(line) for source in sources for line in source.splitlines()) <= 88
    assert path.stem in {name for name, _ in SOLUTIONS}  # it ends with an exercise that has a solution


def test_all_cells_may_run_again_in_the_same_kernel():
    """A notebook's own variables are no misspelt parameters then, as they would be at the start."""
    namespace = {"PROFILE": "cpu"}
    notebooks.check_parameters("07_compare", namespace)
    own = {"profile": None, "SUM": 1}
    notebooks.check_parameters("07_compare", namespace | own)
    for name in own:
        with pytest.raises(UsageError, match=f"Unknown parameter {name}"):
            notebooks.check_parameters("07_compare", {name: own[name]})


@pytest.mark.parametrize(("name", "number"), SOLUTIONS)
def test_a_solution_is_right_and_something_else_is_not(name, number, capsys):
    """What the solution's own cell computes is accepted, and nothing near it; and the check does not say what is right."""
    right = notebooks.solution(name, number)
    near = [1.05 * one + 0.05 for one in right] if isinstance(right, list) else None
    wrong = f"{right}?" if isinstance(right, str) else near or 1.05 * right + 0.05
    for answer in (None, right, wrong):
        notebooks.check_answer(name, number, answer)
    said = capsys.readouterr().out.splitlines()
    assert "write your answer" in said[0] and said[1].endswith("right.") and "not yet" in said[2] and str(right) not in said[2]


@pytest.mark.parametrize(
    ("right", "given", "accepted"),
    [
        (35.4, 35, True),
        (35.4, 36, False),
        (1.24, 1.2, True),
        (1.24, 1.3, False),
        (2.571, 2.6, True),
        (2.571, 2.5, False),
        (0, 0, True),
    ],
)
def test_a_number_may_be_rounded_to_two_digits(right, given, accepted):
    assert notebooks._same(given, right) is accepted


def test_answers_may_be_rounded_and_exercises_must_be_there(tmp_path, monkeypatch, capsys):
    (tmp_path / "notebooks" / "solutions").mkdir(parents=True)
    cells = [{"source": ["answer = 82"], "metadata": {"tags": ["exercise-1"]}}]
    cells += [{"source": ["answer = [0.607, 'wrong']"], "metadata": {"tags": ["exercise-2"]}}, {"source": ["1"], "metadata": {}}]
    (tmp_path / "notebooks" / "solutions" / "mine.ipynb").write_text(json.dumps({"cells": cells}))
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    wrong = ((1, 82.5), (2, [0.62, "wrong"]), (2, [0.6, "wrong"]), (2, 0.607), (2, [0.607]))
    for number, answer in ((1, 82), (2, [0.61, " Wrong"]), *wrong):
        notebooks.check_answer("mine", number, answer)
    assert [line.endswith("right.") for line in capsys.readouterr().out.splitlines()] == [True] * 2 + [False] * 5
    for number, said in ((1, "write a number, without quotes."), (2, "write a list of 2 answers.")):
        notebooks.check_answer("mine", number, "82")
        assert said in capsys.readouterr().out
    for name, number in (("mine", 3), ("other", 1)):
        with pytest.raises(UsageError, match=f"{name} has no exercise {number}"):
            notebooks.check_answer(name, number, 1)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_answer_has_its_exercise_above_it(path):
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(path.read_text())["cells"]]
    asked = [(i, int(number)) for i, (_, text) in enumerate(cells) for number in re.findall(r"check_answer\(\"\w+\", (\d+),", text)]
    assert [number for _, number in asked] == list(range(1, len(asked) + 1))
    for i, number in asked:
        kind, text = cells[i - 1]
        assert kind == "markdown" and f"**Exercise {number}.**" in text
