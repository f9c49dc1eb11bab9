"""The figures of notebook 07 show the tables that they are made from."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib import profiles
from lib.reports import comparison, results


@pytest.fixture
def summary():
    rows = [
        ("base", "base", 0.5, 0.9),
        ("task", "task", 0.8, 0.9),
        ("task", "task", 0.9, 0.9),
        ("sharpen", "sharpen α=1", 0.6, 0.7),
    ]
    table = pd.DataFrame(rows, columns=["objective", "label", "pass_at_1", "pass_at_2"])
    return table.assign(model="m", samples=2, accuracy_sampled=table["pass_at_1"])


def steps(**ends):
    """20 steps per objective; the last two, a tenth, have these values of KL, and those before 0."""
    parts = [pd.DataFrame({"objective": name, "step": range(20), "kl": [0.0] * 18 + [end] * 2}) for name, end in ends.items()]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(model="m", label=table["objective"], run=table["objective"] + "-s0")


def test_a_title_of_training_gives_its_last_tenth_the_highest_first():
    lines = results.lines(steps(task=1.0, sharpen=2.5, random=-0.25, tilted=9.0), "m")
    ax = comparison.over_training(plt.figure().subplots(), "m", lines, comparison.KL)
    title = ax.get_title(loc="left")
    assert title == "m, last 2 of 20 steps:\nsharpen 2.50 nats, task 1.00 nats, random −0.25 nats"
    assert len(ax.get_lines()) == 4 and ax.get_ylabel().startswith("KL")
    plt.close("all")


def test_panels_that_share_an_axis_show_all_of_both():
    """A panel without fixed ends once froze the axis that it shares, so that the next panel was cut off."""
    _, axes = comparison.grid(["a", "b"])
    for ax, end in zip(axes[0], (1.0, 8.0)):
        comparison.over_training(ax, "m", results.lines(steps(task=end), "m"), comparison.KL)
    assert axes[0, 0].get_ylim() == axes[0, 1].get_ylim() and axes[0, 1].get_ylim()[1] >= 8 * 2 / 5
    plt.close("all")


def test_many_bases_go_below_each_other():
    """Eight bases, two rows: three blocks of three columns, and each base has its two panels one above the other."""
    figure, axes = comparison.grid([str(i) for i in range(8)], 2)
    assert axes.shape == (2, 8) and len(figure.axes) == 16 and figure.get_size_inches()[0] < 16
    figure.draw_without_rendering()
    place = [[ax.get_position() for ax in row] for row in axes]
    for upper, lower in zip(*place, strict=True):
        assert upper.x0 == pytest.approx(lower.x0, abs=0.01) and upper.y0 > lower.y1
    assert place[1][0].y0 > place[0][3].y1 and place[0][0].x0 == pytest.approx(place[0][3].x0, abs=0.01)
    axes[0, 5].set_ylim(3, 4)
    assert axes[0, 0].get_ylim() == (3, 4) and axes[1, 0].get_ylim() != (3, 4)
    plt.close("all")


def test_gains_are_over_the_base_and_seeds_are_dots(summary):
    ax = comparison.pass_gains(plt.figure().subplots(), "m", summary)
    found = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_allclose(found["task"].get_ydata(), [35, 0], atol=1e-9)
    np.testing.assert_allclose(found["sharpen α=1"].get_ydata(), [10, -20])
    dots = [line for line in ax.get_lines() if line.get_marker() == "." and len(line.get_ydata()) == 4]
    np.testing.assert_allclose(dots[0].get_ydata(), [30, 0, 40, 0], atol=1e-9)
    assert ax.get_title(loc="left") == "m: at k = 2 the base solves 90.0%;\ngained there: task +0, sharpen −20 points"
    plt.close("all")


def test_what_was_remembered_is_against_the_control_of_the_same_seed():
    """By hand: the last quarter of 8 steps is steps 6 and 7. Seed 1 has no control."""
    late = {"task-s0": (0.9, 0.7), "random-s0": (0.2, 0.4), "task-s1": (1.0, 1.0)}
    rows = [(run, step, ends[step - 6] if step >= 6 else 0.0) for run, ends in late.items() for step in range(8)]
    steps = pd.DataFrame(rows, columns=["run", "step", "task_accuracy"]).assign(model="m")
    runs = [("base", "base", None, 0.4), *((run, run[:-3], int(run[-1]), right) for run, right in zip(late, (0.6, 0.5, 0.9)))]
    summary = pd.DataFrame(runs, columns=["run", "objective", "seed", "accuracy_sampled"]).assign(model="m", label="task")
    found = comparison.gains("m", summary, steps)
    assert found["run"].tolist() == ["task-s0"]
    assert found[["trained_on", "held_out"]].to_numpy() == pytest.approx(np.array([[50, 10]]))
    assert comparison.gains("m", summary[summary["objective"] != "random"], steps).empty
    ax = comparison.remembered(plt.figure().subplots(), "m", found)
    assert ax.get_title(loc="left") == "m, points above the control:\nheld out task +10;\ntrained on task +50"
    means = [line for line in ax.get_lines() if line.get_marker() == "o" and len(line.get_xdata())]
    assert [line.get_xdata()[0] for line in means] == pytest.approx([50, 10])
    assert [line.get_markerfacecolor() == "white" for line in means] == [True, False]
    plt.close("all")


def test_what_was_remembered_shows_losses_and_tells_labels_and_rates_apart():
    """A control of another rate is not subtracted; a gain below 0 stays inside of the axes."""
    rows = [
        ("t", "tempered", "tempered α=2", 1e-4, 0.3),
        ("u", "tempered", "tempered α=4", 1e-3, 0.9),
        ("r", "random", "random", 1e-4, 0.5),
    ]
    summary = pd.DataFrame(rows, columns=["run", "objective", "label", "learning_rate", "accuracy_sampled"]).assign(
        model="m", seed=0
    )
    steps = pd.DataFrame({"run": ["t", "u", "r"], "step": 0, "task_accuracy": [0.1, 0.9, 0.5], "model": "m"})
    found = comparison.gains("m", summary, steps)
    assert found["label"].tolist() == ["tempered α=2"]
    assert found[["trained_on", "held_out"]].to_numpy() == pytest.approx(np.array([[-40, -20]]))
    ax = comparison.remembered(plt.figure().subplots(), "m", pd.concat([found, found.assign(label="tempered α=4")]))
    assert ax.get_xlim()[0] < -40 and [tick.get_text() for tick in ax.get_yticklabels()] == ["tempered α=2", "tempered α=4"]
    plt.close("all")


@pytest.mark.parametrize(
    ("profile", "model", "again"),
    [("smollm", "SmolLM2-135M-Instruct", True), ("cpu", "one_wording", False), ("rounds", "one_wording", False)],
)
def test_only_a_run_that_is_asked_more_than_there_is_can_remember(profile, model, again):
    assert comparison.asks_again(profiles.load(profile), model) == again


def test_the_final_title_has_the_base_and_means_over_seeds(summary):
    assert comparison.final_title("m", summary) == "m: base 50.0%,\nafter task 85.0%, sharpen 60.0%"


def test_the_final_title_of_rounds_has_the_first_and_the_last():
    labels = ["base", "task", "task round 2", "task round 3"]
    rows = {"model": "m", "objective": ["base", *["task"] * 3], "label": labels, "accuracy_sampled": [0.5, 0.7, 0.8, 0.9]}
    assert comparison.final_title("m", pd.DataFrame(rows)) == "m: base 50.0%,\nafter task 70.0%, …, round 3 90.0%"


def test_a_title_names_labels_where_an_objective_has_several_and_others_where_none_is_known():
    rates = {("task", "task at 0.1"): 1.0, ("task", "task at 0.2"): 2.0, ("random", "random"): 3.0, ("tilted", "t"): 4.0}
    assert comparison.named(rates) == {"task at 0.1": 1.0, "task at 0.2": 2.0}  # there is no room for more
    alphas = {("tempered", f"tempered α={alpha}"): float(alpha) for alpha in range(1, 7)}
    assert comparison.named(alphas) == {f"α={alpha}": float(alpha) for alpha in range(1, 5)}
    assert comparison.named({("task", "task"): 1.0, ("tilted", "t"): 2.0}) == {"task": 1.0}
    beside = comparison.named(alphas | {("random", "random"): 0.0})
    assert beside == {"tempered α=1": 1.0, "tempered α=2": 2.0}  # the control alone would say nothing


def test_the_largest_step_of_each_label_is_found():
    found = comparison.largest_steps(steps(task=1.0, sharpen=2.5))
    assert found[["label", "step", "kl"]].to_numpy().tolist() == [["sharpen", 18, 2.5], ["task", 18, 1.0]]
