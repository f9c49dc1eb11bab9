"""The regimes: what scalar reward R each one gives a completion, and nothing else.

Pure arithmetic on arrays of a batch: no model, no text. Where S_p and S_π come from is `lib.likelihood`; where r comes from
is `lib.verify`. Source of the formulas: Mittal, Gagnon and Lajoie 2026 (arXiv 2604.16259); its symbols are the README's.
"""

import math
from dataclasses import dataclass

import numpy as np

NORMALIZATIONS = ("sum", "mean", "weighted_mean")
DEFAULT_ALPHA = {"task": 0.0, "sharpen": 1.0, "tempered": 4.0, "tilted": 2.0, "task+likelihood": 1.0}
DEFAULT_BETA_INV = {"task": 1.0, "tilted": 100.0, "task+likelihood": 100.0}
MODE_OF = {
    "task": "optimization",
    "sharpen": "optimization",
    "tempered": "sampling",
    "tilted": "sampling",
    "task+likelihood": "optimization",
    "coin": "control",
    "format": "control",
}
NAMES = tuple(MODE_OF)


@dataclass(frozen=True)
class Signals:
    """What a batch of N completions offers to a reward; every field has shape [N].

    `task_reward` r, `format_reward` and `coin` are 0 or 1; `reference_logprob` S_p and `policy_logprob` S_π are sums over
    completion tokens in nats, EOS included; `length` T counts those tokens.
    """

    task_reward: np.ndarray
    reference_logprob: np.ndarray
    policy_logprob: np.ndarray
    length: np.ndarray
    format_reward: np.ndarray
    coin: np.ndarray


@dataclass(frozen=True)
class Regime:
    """A regime by the authors' five numbers. Build one by `named` or `from_numbers`, which refuse what makes no sense."""

    name: str
    mode: str
    alpha: float
    beta_inv: float
    normalization: str = "sum"
    weight: float = 1.0

    def reward_terms(self, signals: Signals) -> dict[str, np.ndarray]:
        """The reward R term by term, each [N]: `task` (r or a control's 0 or 1), `likelihood` (S_p with its factor), `kl`.

        R is their sum. In `tempered` and `tilted`, `kl` is S_p − S_π, whose mean over the policy is −KL(π‖p).
        """
        zero = np.zeros(len(signals.length))
        if self.mode == "control":
            control = signals.coin if self.name == "coin" else signals.format_reward
            return {"task": control + zero, "likelihood": zero, "kl": zero}
        scale = 1.0 / self.beta_inv if self.beta_inv > 0 else 1.0
        factor = self.alpha - 1.0 if self.mode == "sampling" else self.alpha
        kl = signals.reference_logprob - signals.policy_logprob if self.mode == "sampling" else zero
        return {
            "task": signals.task_reward + zero if self.beta_inv > 0 else zero,
            "likelihood": scale * factor * signals.reference_logprob / self._divisor(signals.length),
            "kl": scale * kl,
        }

    def reward(self, signals: Signals) -> np.ndarray:
        """The reward R of each completion, [N]."""
        return sum(self.reward_terms(signals).values())

    def _divisor(self, length: np.ndarray) -> np.ndarray:
        """What divides S_p in the α (or α−1) term: 1 (`sum`), T (`mean`) or T^weight (`weighted_mean`), [N]."""
        power = {"sum": 0.0, "mean": 1.0, "weighted_mean": self.weight}[self.normalization]
        return np.asarray(length, dtype=float) ** power


def named(
    name: str,
    alpha: float | None = None,
    beta_inv: float | None = None,
    normalization: str = "sum",
    weight: float = 1.0,
) -> Regime:
    """A regime by name; α and β⁻¹ default to the regime's own.

    Raises ValueError, in one sentence that says what to do, for an unknown name and for numbers that the regime has no use for.
    """
    if name not in NAMES:
        raise ValueError(f"Unknown regime {name!r}: choose one of {', '.join(NAMES)}.")
    alpha = DEFAULT_ALPHA.get(name, 0.0) if alpha is None else alpha
    beta_inv = DEFAULT_BETA_INV.get(name, 0.0) if beta_inv is None else beta_inv
    _check_numbers(alpha, beta_inv, normalization, weight)
    if name == "task" and alpha != 0:
        raise ValueError(
            f"`task` has no likelihood term, but alpha is {alpha}: leave it out, or use 'task+likelihood'."
        )
    if name in ("task", "tilted", "task+likelihood") and beta_inv == 0:
        other = {"task": "'sharpen'", "tilted": "'tempered'", "task+likelihood": "'sharpen'"}[name]
        raise ValueError(f"`{name}` needs the task reward, but beta_inv is 0: set beta_inv above 0, or use {other}.")
    if name in ("sharpen", "tempered") and beta_inv > 0:
        other = {"sharpen": "'task+likelihood'", "tempered": "'tilted'"}[name]
        raise ValueError(f"`{name}` has no task reward, but beta_inv is {beta_inv}: leave it out, or use {other}.")
    if name in ("sharpen", "task+likelihood") and alpha == 0:
        raise ValueError(f"`{name}` with alpha 0 has no likelihood term: set alpha above 0, or use 'task'.")
    if name in ("coin", "format") and (alpha or beta_inv):
        raise ValueError(f"`{name}` is a control without alpha and beta_inv: leave both out.")
    if name in ("task", "coin", "format") and normalization != "sum":
        raise ValueError(f"`{name}` has no likelihood term to normalise: leave normalization out.")
    if weight != 1 and normalization != "weighted_mean":
        raise ValueError(
            f"weight is {weight}, which only normalization 'weighted_mean' uses: set that, or leave weight out."
        )
    return Regime(name, MODE_OF[name], float(alpha), float(beta_inv), normalization, float(weight))


def from_numbers(mode: str, alpha: float, beta_inv: float, normalization: str = "sum", weight: float = 1.0) -> Regime:
    """A regime by the authors' five numbers; raises ValueError as `named` does."""
    if mode not in ("optimization", "sampling"):
        raise ValueError(f"Unknown mode {mode!r}: choose 'optimization' or 'sampling'.")
    _check_numbers(alpha, beta_inv, normalization, weight)
    if mode == "sampling":
        name = "tilted" if beta_inv > 0 else "tempered"
    elif beta_inv == 0:
        name = "sharpen"
    else:
        name = "task+likelihood" if alpha > 0 else "task"
    return named(name, alpha, beta_inv, normalization, weight)


def coin(seed: int, step: int, count: int) -> np.ndarray:
    """A fair coin per completion, [count], fixed by seed and step so that a resumed run tosses the same coins."""
    return np.random.default_rng([seed, step, 2604_16259]).integers(0, 2, count).astype(float)


def _check_numbers(alpha: float, beta_inv: float, normalization: str, weight: float) -> None:
    for label, number in (("alpha", alpha), ("beta_inv", beta_inv), ("weight", weight)):
        if not math.isfinite(number) or number < 0:
            raise ValueError(f"{label} is {number}: it must be a finite number that is not negative.")
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"Unknown normalization {normalization!r}: choose one of {', '.join(NORMALIZATIONS)}.")
