"""Theory: what every objective leads to, exactly. Listed distributions, sequence models by dynamic programming, flows and a
trainer's noise, and samplers of p^α that need nothing but next-token probabilities. NumPy and SciPy alone: no torch, no data and
no language model. It may import `storage` and `rewards`."""
