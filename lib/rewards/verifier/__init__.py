"""The verifier: is the final answer of a completion right? Text in, verdicts out; nothing that a model wrote is executed. It
leaves out what the verdict is worth (`lib.rewards.objectives`), and imports no other room."""

from lib.rewards.verifier.boxes import boxed_answers, boxes, is_direct
from lib.rewards.verifier.verdicts import (
    PACKAGES,
    STATUSES,
    VARIANTS,
    Verdict,
    are_readable,
    check,
    check_all,
    description,
    fingerprint,
    have_one_boxed_answer,
)
