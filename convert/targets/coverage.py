"""What a chip makes of a network: one verdict per operator, the memory it takes, what its compiler said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .operators import Operator

Status = Literal["mapped", "uncertain", "refused", "after the split"]


@dataclass(frozen=True)
class OperatorVerdict:
    """What becomes of one operator, in execution order."""

    operator: str  # "CONV_2D"
    output: str  # name of the tensor it makes
    shape: tuple[int, ...]  # of that tensor
    status: Status  # uncertain: the chip's documents leave it open
    reason: str  # empty where it maps
    ms: float | None = None  # the compiler's estimate of its time; None: no estimate

    @property
    def title(self) -> str:
        return f"{self.operator} '{self.output}'"


@dataclass(frozen=True)
class Compiled:
    """What a chip's own compiler made of the network."""

    compiler: str  # name and version: "Vela 5.2.0"
    model: bytes | None  # the compiled .tflite; None: left out of a report
    suffix: str  # of its file's name, before ".tflite"
    facts: tuple[tuple[str, str], ...]  # what it said in all, for people: ("memory mode", "Shared_Sram")
    counts: tuple[tuple[str, int, str], ...] = ()  # operator, how many, what becomes of them; empty: see the verdicts
    inference_ms: float | None = None  # the estimate for the whole network; None: no estimate
    sram_bytes: int | None = None
    outer_bytes: int | None = None  # of the memory beyond it, flash or DRAM


@dataclass(frozen=True)
class Coverage:
    """How much of a network a chip takes."""

    chip: str  # with its article, as a sentence needs it: "an Edge TPU"
    by: str  # whose word this is: "Google's documents"
    operators: tuple[OperatorVerdict, ...]
    parameter_bytes: int  # weights, biases and other constants
    activation_peak_bytes: int  # the most that has to be kept at one moment while running
    already_compiled: bool = False  # the file holds the chip's code already
    suggestions: tuple[str, ...] = ()  # what would help, as commands to the reader
    missing: str = ""  # how to get the compiler that was not here; empty: it ran, or there is none
    compiled: Compiled | None = None
    next_steps: tuple[str, ...] = ()  # commands for the maker's own tools, which were not run here

    def count(self, status: Status) -> int:
        return sum(verdict.status == status for verdict in self.operators)

    @property
    def mapped(self) -> int:
        """Operators that the chip surely takes."""
        return self.count("mapped")

    @property
    def complete(self) -> bool:
        """The chip takes everything, and nothing is left open."""
        return self.already_compiled or self.mapped == len(self.operators)

    @property
    def headline(self) -> str:
        """The share in one sentence, with what is left open and the first operator that is refused."""
        total, uncertain = len(self.operators), self.count("uncertain")
        parts = [f"{self.mapped} of {total} operators map to {self.chip} by {self.by}"]
        if uncertain:
            first = next(verdict for verdict in self.operators if verdict.status == "uncertain")
            parts.append(f"{uncertain} more may, first {first.title}: {first.reason}")
        refused = next((verdict for verdict in self.operators if verdict.status == "refused"), None)
        if refused:
            parts.append(f"not {refused.title}: {refused.reason}{_more(total - self.mapped - uncertain - 1)}")
        return "; ".join(parts)

    def without_model(self) -> Coverage:
        """The same for a report, which has no use for the compiled file's bytes."""
        return self if self.compiled is None else replace(self, compiled=replace(self.compiled, model=None))


def _more(count: int) -> str:
    return f", nor {count} more" if count else ""


def verdict(operator: Operator, status: Status, reason: str) -> OperatorVerdict:
    output = operator.outputs[0]
    return OperatorVerdict(operator.name, output.name, output.shape, status, reason)


def verdicts(operators: Sequence[Operator], judge: Callable[[Operator], tuple[Status, str]]) -> list[OperatorVerdict]:
    """Each operator by itself; `judge` gives its status and the reason."""
    return [verdict(operator, *judge(operator)) for operator in operators]
