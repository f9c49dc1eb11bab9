"""The profile `smollm`, with random weights in SmolLM2's shape: two steps of `tempered` on the multiplication tables."""

import pandas as pd
import pytest

from lib import profiles
from lib.data import multiplication
from lib.evaluation import runner
from lib.models import built
from lib.storage import folders
from lib.training import train
from tests.models import toys


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folders, "HOME", folder)
        toys.SMOLLM2_SHAPE.save(built.folder(built.SMOLLM2))
        yield folder


SHORT = {"steps": 2, "prompts_per_step": 2, "completions_per_prompt": 4, "micro_batch": 8}
SHORT |= {"max_completion_tokens": 6, "warmup_steps": 0}


def test_a_model_of_its_shape_trains_two_steps(home):
    """The example is asked before each question, the prompt is short enough, and S_p = S_π bit for bit at step 0."""
    profile = profiles.load("smollm")
    row = next(row for row in profile.rows.values() if row["objective"] == "tempered")
    config = profile.train_config(**row)
    longest = len("".join(multiplication.EXAMPLE)) + 200  # a token per byte; SmolLM2's own need a third of it
    folder = train.train(train.prepare(home / "run", config.changed(**SHORT, max_prompt_tokens=longest)))
    first, second = (pd.read_parquet(path) for path in sorted((folder / "completions").glob("*.parquet")))
    assert (first["reference_logprob"] == first["policy_logprob"]).all() and (first["reference_logprob"] < 0).all()
    assert set(first["problem_id"]) < {f"{a}*{b}" for a in multiplication.FACTORS for b in multiplication.FACTORS}
    assert (second["reference_logprob"] != second["policy_logprob"]).all()


def test_its_base_is_evaluated(home):
    (config,) = profiles.load("smollm").eval_configs(built.SMOLLM2)
    short = config.changed(problems=2, samples=2, max_completion_tokens=4, max_prompt_tokens=300)
    runner.of_base(built.SMOLLM2, home / "base", short)
    table = runner.graded(home / "base" / "evaluations" / f"{short.stem}.json").sampled
    assert len(table) == 4 and table["problem_id"].nunique() == 2 and table["reference_logprob"].lt(0).all()
