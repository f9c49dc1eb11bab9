"""The trainer on a CPU against TRL's own: the same log-probabilities, entropies and gradients, from fewer passes."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from lib.models import loading
from lib.storage import files
from lib.training import record, train
from lib.training.config import TrainConfig

WHOLE = TrainConfig(
    model="many_wordings", objective="tempered", train_problems=32, steps=2, prompts_per_step=2, completions_per_prompt=4,
    micro_batch=8, warmup_steps=0, save_every=1, learning_rate=3e-3,
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(trainer, what TRL asks of a step's completions) of a run whose adapter is not zero."""
    from lib.training import trainer

    run = train.prepare(tmp_path_factory.mktemp("cpu") / "run", WHOLE)
    model, tokenizer = train._policy(run)
    built = trainer.build(record.Record(run.folder, train.identity(run)), WHOLE, model, tokenizer, train._rows(run, tokenizer)[0])
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02, generator=torch.manual_seed(0))
    prompts = [list(range(4, 4 + n)) for n in (7, 7, 9, 9)]
    completions = [[7, 16, 12, 2], [7, 16, 12, 16, 6, 19, 2], [28, 9, 29, 2], [28, 9, 9, 9, 29]]
    left = [[0] * (9 - len(ids)) + ids for ids in prompts]
    right = [ids + [0] * (8 - len(ids)) for ids in completions]  # a column more than the longest, as in a part of a step
    ids = torch.tensor([[*one, *other] for one, other in zip(left, right)])
    return built, (model, ids, (ids != 0).long(), 8), (prompts, completions)


def test_the_losss_log_probabilities_entropies_and_gradients_are_trls(made):
    import trl

    trainer, asked, _ = made
    mask, weights = asked[2][:, -8:], [p for p in trainer.model.parameters() if p.requires_grad]
    factor = torch.randn(mask.shape, generator=torch.manual_seed(1)) * mask
    found = []
    for method in (trl.GRPOTrainer, type(trainer)):
        logprob, entropy, _ = method._get_per_token_logps_and_entropies(trainer, *asked, compute_entropy=True)
        found.append((logprob * mask, entropy * mask, *torch.autograd.grad((logprob * factor).sum(), weights)))
    for theirs, ours in zip(*found):
        torch.testing.assert_close(ours, theirs, atol=2e-5 * max(1.0, theirs.abs().max().item()), rtol=1e-4)


def test_the_loss_differentiates_what_the_reward_has_read(made):
    """Rows come shuffled from TRL; each gets its own, and what is kept is used once."""
    trainer, (model, ids, mask, width), (prompts, completions) = made
    reward = trainer.reward_funcs[0]
    scores = reward._score(prompts, completions, gradient=True)
    reward.kept = {(*p, *c): i for i, (p, c) in enumerate(zip(prompts, completions))}, scores
    order = torch.tensor([2, 0, 3, 1])
    logprob, _, _ = trainer._get_per_token_logps_and_entropies(model, ids[order], mask[order], width)
    assert reward.kept is None and logprob.requires_grad
    torch.testing.assert_close(logprob[:, :7], scores.logprob[order].float())
    assert (logprob[:, 7:] == 0).all()


@pytest.mark.parametrize("changed", [{}, {"fixed_length": True}])
def test_one_pass_per_step_trains_as_two_do(changed, tmp_path, monkeypatch):
    """A step in one micro-batch keeps its pass for the loss; told otherwise, the loss makes its own. In both S_p = S_π at step 0,
    to the last bit."""
    from lib.training import reward

    weights, norms = [], []
    for kept in (True, False):
        monkeypatch.setattr(reward, "on_cpu", lambda model, kept=kept: kept)
        folder = train.train(train.prepare(tmp_path / str(kept), WHOLE.changed(**changed)))
        first = pd.read_parquet(folder / "completions" / "step-00000.parquet")
        np.testing.assert_array_equal(first["policy_logprob"], first["reference_logprob"])
        assert not changed or (first["length"] == WHOLE.max_completion_tokens).all()
        norms.append([row["grad_norm"] for row in files.read_lines(folder / "metrics.jsonl")])
        weights.append(load_file(folder / "adapter" / "adapter_model.safetensors"))
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    for name, one in weights[0].items():  # AdamW moves a weight by 3e-3, in which rounding may decide where a gradient is near 0
        assert (one - weights[1][name]).abs().mean() < 1e-6


def test_a_steps_draws_depend_on_seed_and_step_alone(tmp_path):
    """Not on how many are generated at once; another seed, and another step, draws others of the same two problems."""
    texts = {}
    for seed, parts in ((0, 0), (0, 3), (1, 0)):
        config = WHOLE.changed(seed=seed, train_problems=2, generation_batch=parts)
        folder = train.train(train.prepare(tmp_path / f"{seed}-{parts}", config))
        for step in (0, 1):
            frame = pd.read_parquet(folder / "completions" / f"step-{step:05d}.parquet")
            texts[seed, parts, step] = sorted(zip(frame["problem_id"], frame["completion"]))
    assert texts[0, 0, 0] == texts[0, 3, 0]
    assert len({tuple(found) for (_, parts, _), found in texts.items() if parts == 0}) == 4


def test_an_unpacked_model_is_what_its_four_bits_stand_for(policy):
    """Each layer's numbers are those that bitsandbytes unpacks, bit for bit; where they do not fit, the layers stay packed."""
    from bitsandbytes.functional import dequantize_4bit

    from lib.models import dense, sources

    packed, _ = loading._load_plain(sources.resolve("many_wordings"), True, torch.float32)
    layers = {name: layer for name, layer in packed.named_modules() if hasattr(getattr(layer, "weight", None), "quant_state")}
    numbers = {name: dequantize_4bit(layer.weight.data, layer.weight.quant_state) for name, layer in layers.items()}
    assert len(layers) == 28
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "SHARE", 1e-9)
        assert dense.dequantised(packed) is packed and hasattr(packed.model.layers[0].mlp.up_proj.weight, "quant_state")
    unpacked = dict(dense.dequantised(packed).named_modules())
    for name, expected in numbers.items():
        assert torch.equal(unpacked[name].weight, expected.float()), name


@pytest.mark.parametrize("more", [{}, {"use_dora": True}, {"lora_bias": True}])
def test_a_merged_layer_computes_what_it_did(more):
    """Plain LoRA is merged; DoRA and LoRA with a bias, which are more than W + scaling·B·A, stay as they are."""
    from peft import LoraConfig, get_peft_model

    from lib.models import dense, tiny

    torch.manual_seed(0)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": loading.LORA_TARGETS, "init_lora_weights": False}
    model = get_peft_model(tiny.build_model().eval(), LoraConfig(**settings, **more))
    ids = torch.tensor([[1, 4, 7, 5]])
    with torch.no_grad():
        apart = model(ids).logits
        with dense.merged(model):
            assert ("forward" in vars(model.base_model.model.model.layers[0].mlp.up_proj)) == (not more)
            torch.testing.assert_close(model(ids).logits, apart, atol=1e-4, rtol=1e-4)
        layer = model.base_model.model.model.layers[0].mlp.up_proj
        layer.fan_in_fan_out = True  # as for GPT-2, whose matrices are stored the other way round
        with dense.merged(model):
            assert "forward" not in vars(layer)


def test_merging_leaves_nothing_behind(policy):
    from lib.models import dense

    model, _ = policy
    before, patched = {name: value.clone() for name, value in model.state_dict().items()}, _patched(model)
    with pytest.raises(RuntimeError), dense.merged(model):
        raise RuntimeError
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert _patched(model) == patched


def _patched(model) -> set[str]:
    return {name for name, module in model.named_modules() if "forward" in vars(module)}
