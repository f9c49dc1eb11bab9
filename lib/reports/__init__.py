"""Reports: figures, result tables and model cards, made from what evaluations left on disk. It starts no run. It may import every
room below it, and the profile that lists the runs."""
