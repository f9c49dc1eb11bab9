"""Models: finding and loading them, their adapters, log-probabilities, sampling, and the two tiny bases. What a completion is
worth is not known here. With `training` the only room that knows Unsloth or vLLM. It may import `storage`, `rewards`, `theory`
and `data`."""
