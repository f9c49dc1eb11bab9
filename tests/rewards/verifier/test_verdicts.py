"""Who graded: the fingerprint that an evaluation's verdicts are kept under."""

from lib.rewards import verifier
from lib.rewards.verifier import verdicts


def test_the_grader_is_all_of_the_verifiers_source(tmp_path):
    """A changed line in any of its modules makes another grader."""

    def fingerprint(**changed):
        for name, text in ({"verdicts": "import re\n", "answers": "x = 1\n"} | changed).items():
            (tmp_path / f"{name}.py").write_text(text)
        return verdicts.fingerprint.__wrapped__(tmp_path)

    first = fingerprint()
    assert first == fingerprint() and len(first) == 16
    assert len({first, fingerprint(verdicts="import ast\n"), fingerprint(answers="x = 2\n")}) == 3
    assert verifier.description(strict=True)["fingerprint"] == verifier.fingerprint() != first
