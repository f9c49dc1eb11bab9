"""Models: finding and loading them, their adapters, log-probabilities, sampling, and the two tiny bases. What a completion is
worth is not known here. Only `training` knows Unsloth or vLLM as well. It may import `storage`, `rewards`, `theory` and `data`."""
