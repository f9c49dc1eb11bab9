"""What notebooks need: parameters that are checked, and sliders that do no harm."""

import pytest

from lib import notebooks
from lib.storage.errors import UsageError


def test_a_misspelt_parameter_is_refused_with_the_right_one():
    good = {"PROFILE": "quick", "OBJECTIVE": "task", "In": [], "_": 1, "lower": 2}
    notebooks.check_parameters("05_train", good)
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
