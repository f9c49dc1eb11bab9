"""Per token: the sum is that of the completion, and text is shown as it is."""

import numpy as np
import pytest

from lib.audit import tokens


def test_the_parts_add_up_to_the_whole():
    trained, base = np.array([-0.1, -2.0, -0.3]), np.array([-0.5, -0.2, -1.0])
    found = tokens.excess(trained, base, 2.0, 0.6)
    assert found == pytest.approx([0.9 + 0.2, -1.6 + 0.2, 1.7 + 0.2])
    assert found.sum() == pytest.approx(trained.sum() - (2 * base.sum() - 0.6))


def test_tokens_are_coloured_and_escaped():
    found = tokens.coloured(["<b>", "7", "ok"], [2.0, -0.5, 0.0])
    assert "&lt;b&gt;" in found and "<b>" not in found
    assert "213,94,0,0.50" in found and "underline solid" in found and 'title="-0.50 nats"' in found
