"""What the examination of a set finds, and how it is told."""
from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence

__all__ = ['EXAMPLES', 'Findings', 'Report', 'SplitReport', 'size_text']

EXAMPLES = 5  # offenders named for each kind of finding


class Findings:
    """What was found, by kind: how often, and the first examples.

    Attributes:
        counts: Number of findings of every kind.
        examples: The first of them, at most ``EXAMPLES`` a kind.
    """

    def __init__(self) -> None:
        self.counts: Dict[str, int] = {}
        self.examples: Dict[str, List[str]] = {}

    def __bool__(self) -> bool:
        return bool(self.counts)

    def add(self, kind: str, example: str) -> None:
        """Count one, and keep it as an example if it is among the first of its kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        examples = self.examples.setdefault(kind, [])
        if len(examples) < EXAMPLES:
            examples.append(example)

    def lines(self, heading: str) -> List[str]:
        """For the user: each kind with its number and, indented below, its examples."""
        lines = []
        for kind, count in self.counts.items():
            lines.append(f'  {heading}: {kind} ({count:,})')
            lines += [f'    {example}' for example in self.examples[kind]]
            if count > EXAMPLES:
                lines.append(f'    and {count - EXAMPLES:,} more')
        return lines


@dataclass
class SplitReport:
    """What is known of a split.

    Attributes:
        name: Of its LMDB or folder.
        num_images: Number of images.
        order: Order of the landmarks; None without a readable annotation file.
        sizes: How many images have a size (width, height).
        lq_sizes: The same for the low-quality images; None where there are none.
        problems: What training or testing would fail on, or silently get wrong.
        warnings: What may be meant so.
    """
    name: str
    num_images: int = 0
    order: Optional[str] = None
    sizes: Counter = field(default_factory=Counter)
    lq_sizes: Optional[Counter] = None
    problems: Findings = field(default_factory=Findings)
    warnings: Findings = field(default_factory=Findings)

    def lines(self) -> List[str]:
        """For the user: what the split is, and what was found."""
        summary = f'{self.name}: {self.num_images:,} images{_describe(self.sizes)}'
        summary += f', landmarks {self.order}' if self.order else ', no landmarks'
        if self.lq_sizes is not None:
            summary += f', low-quality images{_describe(self.lq_sizes)}'
        return [summary] + self.problems.lines('PROBLEM') + self.warnings.lines('warning')


@dataclass
class Report:
    """All splits of a set, and what was found between them."""
    splits: List[SplitReport]
    between: SplitReport

    @property
    def ok(self) -> bool:
        """Whether there is no problem; warnings do not count."""
        return not any(part.problems for part in [*self.splits, self.between])

    def lines(self) -> List[str]:
        """For the user."""
        lines = [line for split in self.splits for line in split.lines()]
        if self.between.problems or self.between.warnings:
            lines += ['the set as a whole:', *self.between.lines()[1:]]
        return lines


def size_text(size: Sequence[int]) -> str:
    """``128x128`` of (width, height)."""
    return f'{size[0]}x{size[1]}'


def _describe(sizes: Counter) -> str:
    if not sizes:
        return ''
    (size, _), others = sizes.most_common(1)[0], len(sizes) - 1
    return f' of {size_text(size)}' + (f' and {others} other size{"s" if others > 1 else ""}' if others else '')
