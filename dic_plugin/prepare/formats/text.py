"""Lines and numbers of the text formats, with errors that name the file and the line."""
from itertools import islice
from typing import List, Optional, Sequence, Tuple

from dic_plugin.utils.regular_file import open_regular

__all__ = ['parse_numbers', 'read_lines']


def read_lines(path: str, most: Optional[int] = None) -> List[Tuple[int, str]]:
    """Read the lines of a text file, or the first ones, that are not blank, stripped, with their numbers from 1.

    Any line ends; a byte-order mark is dropped.

    Raises:
        ValueError: the file is not text in UTF-8.
    """
    with open_regular(path, encoding='utf-8-sig') as file:
        try:
            lines = [(number, line.strip()) for number, line in enumerate(islice(file, most), 1)]
        except UnicodeDecodeError as error:
            raise ValueError(f'{path}: not a text file in UTF-8: {error}') from error
    return [(number, line) for number, line in lines if line]


def parse_numbers(texts: Sequence[str], count: int, path: str, line: int) -> List[float]:
    """Return the numbers of a line; NaN is one.

    Raises:
        ValueError: they are not ``count`` numbers.
    """
    try:
        numbers = [float(text) for text in texts]
    except ValueError as error:
        raise ValueError(f'{path}, line {line}: expected {count} numbers: {error}') from error
    if len(numbers) != count:
        raise ValueError(f'{path}, line {line}: has {len(numbers)} numbers; expected {count}.')
    return numbers
