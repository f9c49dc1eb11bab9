"""Rewards: what a completion earns. `objectives` is the algebra and the one registry of objectives; `verifier` says whether an
answer is right. No model and no torch in here: log-probabilities come in as numbers. It may import `storage` alone."""
