"""Arguments that the commands share: one spelling and one meaning."""
import pytest

from dic_plugin.cli.arguments import SHARED, add_shared, check_ranges, command_parser


@pytest.mark.parametrize('arguments', [['~/faces'], ['-i', '~/faces'], ['--input', '~/faces']])
def test_an_input_by_position_or_by_its_flag(monkeypatch, arguments):
    monkeypatch.setenv('HOME', '/home/me')
    parser = command_parser('dic-check', 'Check.')
    add_shared(parser, '-i/--input', positional='root')
    assert vars(parser.parse_args(arguments)) == {'root': '/home/me/faces'}
    assert parser.format_usage().startswith('usage: dic-check ')


def test_an_input_is_required_once(capsys):
    parser = command_parser('dic-check', None)
    add_shared(parser, '-i/--input', positional='root')
    for arguments, message in (([], 'one of the arguments ROOT -i/--input is required'), (['a', '-i', 'b'],
                                                                                          'not allowed with argument')):
        with pytest.raises(SystemExit, match='2'):
            parser.parse_args(arguments)
        assert message in capsys.readouterr().err


@pytest.mark.parametrize('workers, margin, message', [('0', '1', '--num-workers is 0; expected at least 1'),
                                                      ('1', '11', '--margin is 11.0; expected 0 to 10'),
                                                      ('1', 'nan', '--margin is nan; expected 0 to 10')])
def test_values_outside_their_ranges_are_refused(capsys, workers, margin, message):
    parser = command_parser('dic-infer', None)
    parser.add_argument('--num-workers', type=int)
    parser.add_argument('--margin', type=float)
    check_ranges(parser, parser.parse_args([]), num_workers=(1, ), margin=(0, 10))
    with pytest.raises(SystemExit, match='2'):
        args = parser.parse_args(['--num-workers', workers, '--margin', margin])
        check_ranges(parser, args, num_workers=(1, ), margin=(0, 10))
    assert message in capsys.readouterr().err


def test_every_shared_argument_can_be_added_to_one_parser():
    parser = command_parser('dic-all', None)
    for name in SHARED:
        add_shared(parser, name)
    assert parser.parse_args(['-i', 'a', '--recursive', '--workers', '2']).workers == 2
