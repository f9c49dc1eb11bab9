"""What RL did to a model: its change as a projection onto what sharpening, selection and length can do. May import the storage and
the statistics of evaluation; needs no torch: samples come as a table, from `lib.evaluation.pairs` or from a file."""
