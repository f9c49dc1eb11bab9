"""Where in a completion π says what a sharpened base would not."""

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def excess(trained: ArrayLike, base: ArrayLike, alpha: float, log_z: float = 0.0) -> np.ndarray:
    """log π − log q per token in nats, [T] to [T], for q = p^α/Z: log π_t − α·log p_t + (log Z)/T. Its sum is exactly log π(y) −
    log q(y). A token's own part is not a distribution's (p^α has none per token): read it as where the sum comes from."""
    trained, base = np.asarray(trained, dtype=float), np.asarray(base, dtype=float)
    return trained - alpha * base + log_z / len(trained)


def coloured(texts: Sequence[str], values: ArrayLike, most: float = 3.0) -> str:
    """Tokens as HTML: orange where the value is above 0 (π says more of it), blue where it is below, deeper up to `most` nats, with
    the number on hover and underlined beyond 1 nat, so that it can be read in grey."""
    parts = []
    for text, value in zip(texts, np.asarray(values, dtype=float), strict=True):
        depth = min(1.0, abs(value) / most)
        color = "213,94,0" if value > 0 else "0,114,178"
        line = f"text-decoration:underline {'solid' if value > 0 else 'dotted'};" if abs(value) > 1 else ""
        style = f"background:rgba({color},{0.75 * depth:.2f});{line}"
        parts.append(f'<span style="{style}" title="{value:+.2f} nats">{html.escape(text)}</span>')
    return f'<div style="font-family:monospace;white-space:pre-wrap">{"".join(parts)}</div>'
