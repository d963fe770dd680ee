"""Kinds of values that hold several numbers."""
import pytest

from dic_plugin.utils.option_values import OptionError, numbers, read_value


@pytest.mark.parametrize('kind, value, expected', [
    (numbers(2), [1, '2e-1'], [1, 0.2]),
    (numbers(2, least=1, ascending=True), (1.1, 1.1), [1.1, 1.1]),
    (numbers(3, least=0), [3, 0, 1], [3, 0, 1]),
])
def test_lists_of_numbers(kind, value, expected):
    assert read_value(kind, value, 'x') == expected


@pytest.mark.parametrize('kind, value', [
    (numbers(2), 3),
    (numbers(2), [1]),
    (numbers(2), [1, None]),
    (numbers(2), [1, 'a']),
    (numbers(2), [1, float('nan')]),
    (numbers(2, least=1), [0.9, 2]),
    (numbers(2, above=0), [0, 2]),
    (numbers(2, ascending=True), [2, 1]),
])
def test_other_lists_are_refused(kind, value):
    with pytest.raises(OptionError, match='x is .*; expected a list of 2, each a number'):
        read_value(kind, value, 'x')
