"""Report of the examination of a set of face crops."""
from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

__all__ = ['EXAMPLES', 'CheckReport', 'Size', 'SplitReport', 'size_text']

EXAMPLES = 5  # cases that the text names for each kind of finding

Size = Tuple[int, int]  # width, height


@dataclass
class SplitReport:
    """Report of one split: its images by size, the order of its landmarks, and cases by kind of problem or warning.

    Problems make training or testing fail or silently give wrong results; warnings may be intended.
    """
    name: str
    num_images: int = 0
    order: Optional[str] = None
    sizes: Counter = field(default_factory=Counter)
    lq_sizes: Counter = field(default_factory=Counter)  # of the low-quality images
    problems: Dict[str, List[str]] = field(default_factory=dict)
    warnings: Dict[str, List[str]] = field(default_factory=dict)

    def add(self, kind: str, *cases: str, warning: bool = False) -> None:
        """Add cases of a kind of problem or warning."""
        if cases:
            (self.warnings if warning else self.problems).setdefault(kind, []).extend(cases)

    def summary(self) -> str:
        """Return a line that describes the split."""
        landmarks = f'landmarks {self.order}' if self.order else 'no landmarks'
        lq = f', low-quality images{_describe(self.lq_sizes)}' if self.lq_sizes else ''
        return f'{self.name}: {self.num_images:,} images{_describe(self.sizes)}, {landmarks}{lq}'

    def findings(self) -> List[str]:
        """Return lines with each kind of finding and its first cases."""
        lines = []
        for heading, findings in (('PROBLEM', self.problems), ('warning', self.warnings)):
            for kind, cases in findings.items():
                lines += [f'  {heading}: {kind} ({len(cases):,})', *(f'    {case}' for case in cases[:EXAMPLES])]
                lines += [f'    and {len(cases) - EXAMPLES:,} more'] * (len(cases) > EXAMPLES)
        return lines


@dataclass
class CheckReport:
    """Reports of all splits of a set, and of what concerns several of them."""
    splits: List[SplitReport]
    between: SplitReport

    @property
    def ok(self) -> bool:
        """Whether there is no problem; warnings do not count."""
        return not any(part.problems for part in [*self.splits, self.between])

    def lines(self) -> List[str]:
        """Return the text of the report."""
        lines = [line for split in self.splits for line in [split.summary(), *split.findings()]]
        between = self.between.findings()
        return lines + (['the set as a whole:', *between] if between else [])


def size_text(size: Size) -> str:
    """Format (width, height) as ``128x128``."""
    return f'{size[0]}x{size[1]}'


def _describe(sizes: Counter) -> str:
    usual = ''.join(f' of {size_text(size)}' for size, _ in sizes.most_common(1))
    others = len(sizes) - 1
    return usual + (f' and {others} other size{"s" * (others > 1)}' if others > 0 else '')
