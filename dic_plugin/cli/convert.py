"""Convert published checkpoints of DIC and its companions to BasicSR's format, ``{'params': state_dict}``.

    dic-convert DIC_CelebA.pth experiments/pretrained_models/DIC_CelebA.pth
    dic-convert DICGAN_CelebA.pth DICGAN.pth --discriminator DICGAN_D.pth

The network is recognised by the names of its tensors: DIC and DICGAN (of the paper's code or OpenMMLab), the hourglass
alone, LightCNN (discriminator or features), the stacked-hourglass evaluator. The options that the weights need are
printed. Exits with 1, and writes nothing, if the file cannot be read or is not exactly one of these networks.
"""
import os
from typing import List, Optional

from dic_plugin.checkpoints.files import CheckpointError, load_tensors, save_params
from dic_plugin.checkpoints.published import convert, option_lines
from dic_plugin.cli.arguments import command_parser, failed


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; returns the exit status."""
    parser = command_parser('dic-convert', __doc__)
    path = os.path.expanduser
    parser.add_argument('source', type=path, metavar='IN.pth', help='a published checkpoint')
    parser.add_argument('target', type=path, metavar='OUT.pth', help='file to write, for BasicSR')
    parser.add_argument('--discriminator', type=path, metavar='OUT_D.pth', help="file for a DICGAN's discriminator")
    args = parser.parse_args(argv)
    source = args.source
    targets = [args.target] if args.discriminator is None else [args.target, args.discriminator]
    try:
        paths = [source, *targets]
        if len({os.path.realpath(path) for path in paths}) < len(paths):
            raise CheckpointError(f'{", ".join(paths)}: expected different files; the original is never overwritten.')
        converted = convert(load_tensors(source), source, args.discriminator is not None)
        for target in targets:
            os.makedirs(os.path.dirname(target) or '.', exist_ok=True)
        save_params(dict(zip(targets, (converted.params, converted.discriminator or {}))))
    except (CheckpointError, OSError, RuntimeError) as error:
        return failed(error)
    numbers = sum(value.numel() for value in converted.params.values())
    print(
        f'{source}: {converted.kind}, {len(converted.params)} tensors, {numbers / 1e6:.2f} M numbers -> {args.target}')
    if args.discriminator is not None:
        print(f'{source}: its discriminator -> {args.discriminator}')
    options = option_lines(converted)
    for line in (*(['Options that these weights need:'] if options else []), *options, *converted.notes):
        print(line)
    return 0
