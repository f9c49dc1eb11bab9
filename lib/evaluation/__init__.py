"""Evaluation: graded samples of a base or a run, the metrics and their statistics, the forecast of sharpening, and sharpening
without training. Figures and tables are `reports`. It may import every room below it, `training` included."""
