"""The objectives: what scalar reward R each one gives a completion, and everything else that the kit has to know about it.

`OBJECTIVES` is the one registry: training, theory, figures, tables, notebooks and pages read it, so that a new objective is one
entry here (CONTRIBUTING.md shows one). Pure arithmetic on arrays of a batch: no model, no text. Where S_p and S_π come from is
`lib.models.scoring`. Source of the formulas: Mittal, Gagnon and Lajoie 2026 (arXiv 2604.16259)."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

NORMALIZATIONS = ("sum", "mean", "weighted_mean")
AUTHORS = ("optimization", "sampling")  # the modes of the authors' objectives
TERMS = ("task", "likelihood", "kl")  # the terms that the authors' objectives are made of
Signal = Callable[[Sequence[str], Sequence[str]], np.ndarray]  # of texts and golds, [N]
Terms = Callable[..., dict[str, np.ndarray]]
Dash = str | tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class RewardInputs:
    """What a batch of N completions offers to a reward; every field has shape [N]. `task_reward` r, `format_reward` and `random`
    are 0 or 1; `reference_logprob` S_p and `policy_logprob` S_π are sums over completion tokens in nats, EOS included; `length` T
    counts those tokens. `extra` has the signals of an objective of one's own."""

    task_reward: np.ndarray
    reference_logprob: np.ndarray
    policy_logprob: np.ndarray
    length: np.ndarray
    format_reward: np.ndarray
    random: np.ndarray
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)

    def get(self, name: str) -> np.ndarray:
        """An input by its name, [N]. Raises ValueError if there is none."""
        found = {**vars(self), **self.extra}
        if name not in found:
            raise ValueError(f"There is no input {name!r} here, only {', '.join(found)}: declare others as `signals`.")
        return np.asarray(found[name])


@dataclass(frozen=True)
class Definition:
    """An entry of the registry.

    `formula` is R in LaTeX, `leads_to` where it leads, in words with LaTeX. `terms` takes the `Objective` and, by keyword, the
    inputs that it needs, [N] each; R is the sum of the terms that it returns. `alpha` and `beta_inv` are defaults; None means
    that the objective has no use for that number. `signals` computes inputs that only this objective has. `mode` is the authors'
    `optimization` or `sampling`, `control`, or `own`. Lines of the objective have its colour, dash and marker."""

    name: str
    formula: str
    leads_to: str
    terms: Terms
    color: str
    dash: Dash
    marker: str
    alpha: float | None = None
    beta_inv: float | None = None
    mode: str = "own"
    signals: Mapping[str, Signal] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs that `terms` takes."""
        return tuple(inspect.signature(self.terms).parameters)[1:]


@dataclass(frozen=True)
class Objective:
    """An objective with its numbers. Build one by `named` or `from_numbers`, which refuse what makes no sense."""

    name: str
    mode: str
    alpha: float
    beta_inv: float
    normalization: str = "sum"
    length_exponent: float = 1.0

    @property
    def definition(self) -> Definition:
        """Its entry of the registry."""
        return OBJECTIVES[self.name]

    @property
    def label(self) -> str:
        """Its name with the numbers that it uses: `tilted α=2 β⁻¹=100`."""
        alpha, beta_inv = self.definition.alpha, self.definition.beta_inv
        text = self.name + (f" α={self.alpha:g}" if alpha is not None else "")
        text += f" β⁻¹={self.beta_inv:g}" if beta_inv is not None and alpha is not None else ""
        exponent = f" {self.length_exponent:g}" if self.normalization == "weighted_mean" else ""
        return text + (f" {self.normalization}{exponent}" if self.normalization != "sum" else "")

    def reward_terms(self, inputs: RewardInputs) -> dict[str, np.ndarray]:
        """The reward R term by term, each [N]: `task` (r, or what a control pays), `likelihood` (S_p with its factor), `kl`. R is
        their sum. In `tempered` and `tilted`, `kl` is S_p − S_π, whose mean over the policy is −KL(π‖p)."""
        zero, definition = np.zeros(len(inputs.length)), self.definition
        found = definition.terms(self, **{name: inputs.get(name) for name in definition.inputs})
        return {name: found.get(name, zero) + zero for name in dict.fromkeys((*TERMS, *found))}

    def reward(self, inputs: RewardInputs) -> np.ndarray:
        """The reward R of each completion, [N]."""
        return sum(self.reward_terms(inputs).values(), np.zeros(len(inputs.length)))

    def normalised(self, logprob: np.ndarray, length: np.ndarray) -> np.ndarray:
        """S divided by 1 (`sum`), T (`mean`) or T^length_exponent (`weighted_mean`), [N]."""
        power = {"sum": 0.0, "mean": 1.0, "weighted_mean": self.length_exponent}[self.normalization]
        return logprob / np.asarray(length, dtype=float) ** power


def _optimization(
    objective: Objective, task_reward: np.ndarray, reference_logprob: np.ndarray, length: np.ndarray
) -> dict[str, np.ndarray]:
    """r, unless β⁻¹ is 0, and (α/β⁻¹)·S_p, or α·S_p where β⁻¹ is 0."""
    scale = 1.0 / objective.beta_inv if objective.beta_inv > 0 else 1.0
    likelihood = objective.normalised(scale * objective.alpha * reference_logprob, length)
    return {"task": task_reward * (objective.beta_inv > 0), "likelihood": likelihood}


def _sampling(
    objective: Objective, task_reward: np.ndarray, reference_logprob: np.ndarray, policy_logprob: np.ndarray, length: np.ndarray
) -> dict[str, np.ndarray]:
    """r, unless β⁻¹ is 0, and [(α−1)·S_p + S_p − S_π]/β⁻¹, or that without the division where β⁻¹ is 0."""
    scale = 1.0 / objective.beta_inv if objective.beta_inv > 0 else 1.0
    return {
        "task": task_reward * (objective.beta_inv > 0),
        "likelihood": objective.normalised(scale * (objective.alpha - 1.0) * reference_logprob, length),
        "kl": scale * (reference_logprob - policy_logprob),
    }


OBJECTIVES: dict[str, Definition] = {}


def register(definition: Definition) -> None:
    """Adds an objective to the registry; ValueError for a name or a look that is taken, or an input that nothing gives."""
    for other in OBJECTIVES.values():
        if other.name == definition.name or (other.dash, other.marker) == (definition.dash, definition.marker):
            raise ValueError(f"{definition.name!r} has the name, or the dash and marker, of {other.name!r}: choose others.")
    for name in {*definition.inputs} - {*RewardInputs.__annotations__, *definition.signals}:
        raise ValueError(f"The terms of {definition.name!r} take {name!r}, which is no input: declare it as one of `signals`.")
    OBJECTIVES[definition.name] = definition


# Okabe and Ito's colours; in grey some are alike, so that every objective has its own dash and marker as well
# fmt: off
register(Definition(
    "task", r"r", "any distribution on the right completions", lambda _, task_reward: {"task": task_reward}, "#0072B2", "-", "o",
    beta_inv=1.0, mode="optimization"))
register(Definition(
    "sharpen", r"\alpha S_p", "the single likeliest completion, the mode of $p$", _optimization, "#D55E00", "--", "s",
    alpha=1.0, mode="optimization"))
register(Definition(
    "tempered", r"(\alpha-1) S_p + S_p - S_\pi", r"$\propto p^\alpha$", _sampling, "#CC79A7", "-.", "^",
    alpha=4.0, mode="sampling"))
register(Definition(
    "tilted", r"r + [(\alpha-1) S_p + S_p - S_\pi] / \beta^{-1}", r"$\propto p^\alpha e^{\beta^{-1} r}$", _sampling,
    "#009E73", (0, (5, 1)), "D", alpha=2.0, beta_inv=100.0, mode="sampling"))
register(Definition(
    "task+likelihood", r"r + (\alpha / \beta^{-1}) S_p", r"the maximum of $\beta^{-1} r + \alpha \log p$", _optimization,
    "#56B4E9", (0, (3, 1, 1, 1)), "v", alpha=1.0, beta_inv=100.0, mode="optimization"))
register(Definition(
    "random", r"\text{a fair coin}", "nowhere: a control, whose drift averages zero", lambda _, random: {"task": random},
    "#999999", (0, (1, 1)), "P", mode="control"))
register(Definition(
    "format", r"1 \text{ if there is exactly one readable box}", "the format, right or wrong: a control",
    lambda _, format_reward: {"task": format_reward}, "#E69F00", (0, (1, 3)), "*", mode="control"))
# fmt: on


def named(
    name: str, alpha: float | None = None, beta_inv: float | None = None, normalization: str = "sum", length_exponent: float = 1.0
) -> Objective:
    """An objective by name; α and β⁻¹ default to the objective's own. Raises ValueError, in one sentence that says what to do, for
    an unknown name and for numbers that the objective has no use for."""
    if name not in OBJECTIVES:
        raise ValueError(f"Unknown objective {name!r}: choose one of {', '.join(OBJECTIVES)}.")
    own = OBJECTIVES[name]
    alpha = (own.alpha or 0.0) if alpha is None else alpha
    beta_inv = (own.beta_inv or 0.0) if beta_inv is None else beta_inv
    _check_numbers(alpha, beta_inv, normalization, length_exponent)
    like_it = _by_numbers(own.mode, alpha > 0 or own.mode == "sampling", beta_inv > 0)
    instead = f", or use '{like_it}'." if like_it else "."
    if own.alpha is None and alpha:
        raise ValueError(f"`{name}` has no likelihood term, but alpha is {alpha}: leave it out{instead}")
    if own.alpha is None and normalization != "sum":
        raise ValueError(f"`{name}` has no likelihood term to normalise: leave normalization out.")
    if own.beta_inv is None and beta_inv:
        raise ValueError(f"`{name}` does not weigh a task reward, but beta_inv is {beta_inv}: leave it out{instead}")
    if own.mode == "optimization" and own.alpha is not None and alpha == 0:
        raise ValueError(f"`{name}` with alpha 0 has no likelihood term: set alpha above 0, or use 'task'.")
    if own.beta_inv is not None and beta_inv == 0:
        raise ValueError(f"`{name}` needs the task reward, but beta_inv is 0: set beta_inv above 0{instead}")
    if length_exponent != 1 and normalization != "weighted_mean":
        raise ValueError(
            f"length_exponent is {length_exponent}, which only normalization 'weighted_mean' uses: set that, or leave it out."
        )
    return Objective(name, own.mode, float(alpha), float(beta_inv), normalization, float(length_exponent))


def from_numbers(mode: str, alpha: float, beta_inv: float, normalization: str = "sum", weight: float = 1.0) -> Objective:
    """An objective by the authors' five numbers, in their words; raises ValueError as `named` does."""
    if mode not in AUTHORS:
        raise ValueError(f"Unknown mode {mode!r}: choose 'optimization' or 'sampling'.")
    name = _by_numbers(mode, alpha > 0 or mode == "sampling", beta_inv > 0) or "sharpen"
    return named(name, alpha, beta_inv, normalization, weight)


def _by_numbers(mode: str, with_alpha: bool, with_beta_inv: bool) -> str | None:
    """The authors' objective of a mode that has α, or β⁻¹, or both; None if there is none."""
    found = (d for d in OBJECTIVES.values() if mode in AUTHORS and d.mode == mode)
    return next((d.name for d in found if (d.alpha is not None, d.beta_inv is not None) == (with_alpha, with_beta_inv)), None)


def random_reward(seed: int, step: int, count: int) -> np.ndarray:
    """A fair coin per completion, [count], fixed by seed and step so that a resumed run tosses the same coins."""
    return np.random.default_rng([seed, step, 2604_16259]).integers(0, 2, count).astype(float)


def own_signals(texts: Sequence[str], golds: Sequence[str]) -> dict[str, np.ndarray]:
    """The signals that only one objective of the registry has, of completions and their golds, [N] each."""
    return {name: of(texts, golds) for one in OBJECTIVES.values() for name, of in one.signals.items()}


def _check_numbers(alpha: float, beta_inv: float, normalization: str, length_exponent: float) -> None:
    for label, number in (("alpha", alpha), ("beta_inv", beta_inv), ("length_exponent", length_exponent)):
        if not math.isfinite(number) or number < 0:
            raise ValueError(f"{label} is {number}: it must be a finite number that is not negative.")
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"Unknown normalization {normalization!r}: choose one of {', '.join(NORMALIZATIONS)}.")
