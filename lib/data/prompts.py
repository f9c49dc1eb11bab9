"""A problem, and how it is put to a model."""

from dataclasses import dataclass

INSTRUCTION = "Solve this problem. Think step by step, and put your final answer in \\boxed{}."
CLOSING = "Let's think step-by-step"


@dataclass(frozen=True)
class Problem:
    """`prompt` is what the user turn says, `gold` the answer without its box, `source` the data set and split. `example` is a
    question with its answer, with which the conversation begins."""

    id: str
    prompt: str
    gold: str
    source: str
    example: tuple[str, str] | None = None

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation to complete, for a chat template."""
        turns = [*(self.example or ()), self.prompt]
        return [{"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(turns)]

    @property
    def question(self) -> str:
        """The prompt without the instruction around it."""
        return self.prompt.removeprefix(INSTRUCTION).removesuffix(CLOSING).strip()


def instructed(question: str) -> str:
    """The prompt of a question: the instruction, the question, and the words that ask for steps."""
    return f"{INSTRUCTION}\n\n{question}\n\n{CLOSING}"
