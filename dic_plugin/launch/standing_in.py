"""Functions of ours in the place of others, for a time."""
from contextlib import contextmanager
from typing import Any, Iterator

__all__ = ['standing_in']


@contextmanager
def standing_in(owner: Any, **functions: Any) -> Iterator[None]:
    """Replace attributes of a module or a class inside a ``with`` statement."""
    missing = object()
    before = {name: vars(owner).get(name, missing) for name in functions}
    for name, function in functions.items():
        setattr(owner, name, function)
    try:
        yield
    finally:
        for name, function in before.items():
            if function is missing:
                delattr(owner, name)
            else:
                setattr(owner, name, function)
