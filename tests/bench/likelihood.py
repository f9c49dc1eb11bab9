"""What a training step's parts cost on the embedded base: generation against likelihood."""

from lib.data import problems
from lib.models import loading, sources, tokens
from lib.models.sampling import Sampler, sample
from lib.models.scoring import sequence_scores
from tests.bench import seconds


def main() -> None:
    """Generation against likelihood, and micro-batched likelihood against one completion at a time."""
    model, tokenizer = loading.load(sources.resolve("many_wordings"), 96)
    model = loading.add_adapter(model, 16, 32, 0)
    test_set = problems.load("arithmetic", "test", 64)
    prompts = tokens.prompt_ids(tokenizer, [p.messages for p in test_set])
    completions = [c.ids for c in sample(model, tokenizer, prompts, Sampler())]
    batch = prompts, completions, tokenizer.pad_token_id
    generation = seconds(lambda: sample(model, tokenizer, prompts, Sampler()))
    policy = seconds(lambda: sequence_scores(model, *batch))
    reference = seconds(lambda: sequence_scores(model, *batch, reference=True))
    single = seconds(lambda: sequence_scores(model, *batch, token_budget=1), repeats=2)
    print(f"64 completions: generation {generation:.2f} s")
    print(f"policy likelihood / generation     {policy / generation:6.2f}")
    print(f"reference likelihood / generation  {reference / generation:6.2f}")
    print(f"one at a time / micro-batches      {single / policy:6.2f}")
