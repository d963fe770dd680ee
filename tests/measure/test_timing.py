"""Ways to do the same are timed in turns."""
from take_turns import take_turns


def test_ways_take_turns_and_the_median_counts():
    calls, clock = [], {'now': 0.}
    durations = {'a': iter([100., 1., 9., 2.]), 'b': iter([100., 4., 5., 30.])}

    def way(name):
        calls.append(name)
        clock['now'] += next(durations[name])

    ways = {name: lambda name=name: way(name) for name in durations}
    assert take_turns(ways, 3, lambda: clock['now']) == {'a': 2., 'b': 5.}
    assert calls == ['b', 'a', 'a', 'b', 'b', 'a', 'a', 'b']
