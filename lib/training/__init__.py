"""Training: one run, from its settings to its adapter, as exact RLOO on TRL's GRPO trainer. Evaluating the run is `evaluation`.
It may import `storage`, `rewards`, `theory`, `data` and `models`."""
