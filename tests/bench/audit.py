"""What an audit costs, in projections: intervals, orders and refusals against one projection on one family."""

from lib.audit import decomposition, families, projection, samples
from tests.audit import worlds
from tests.bench import seconds


def main() -> None:
    """A table of 1,000 questions with 64 samples of each model, and a profile's 200 with 16."""
    world = worlds.SIX["all three"]
    for questions, size in ((200, 16), (1000, 64)):
        table = world.table(questions, size, 0).drop(columns="completion")
        pool = samples.pooled(samples.checked(table), families.STANDARD)
        one = seconds(lambda p=pool: projection.project(p, (0, 1, 2)), 3)
        whole = seconds(lambda t=table: decomposition.audit(t), 3)
        print(f"{questions} × 2 × {size}: one projection {one:.2f} s; the whole audit {whole:.1f} s, {whole / one:.1f} times that")
