"""Convert published checkpoints of DIC and its companions to BasicSR's format, or a trained DIC to safetensors.

    dic-convert DIC_CelebA.pth experiments/pretrained_models/DIC_CelebA.pth
    dic-convert DICGAN_CelebA.pth DICGAN.pth --discriminator DICGAN_D.pth
    dic-convert experiments/train_DIC/models/net_g_latest.pth DIC.safetensors
    dic-convert experiments/train_DIC/models/net_g_latest.pth for_the_hub/

The network is recognised by the names of its tensors: DIC and DICGAN (of the paper's code or OpenMMLab), the
hourglass alone, LightCNN (discriminator or features), the stacked-hourglass evaluator. The options that the weights
need are printed. A file to hand over, .safetensors, holds float16 and the record of the training: options, steps,
training set. A new folder, whose name ends in a slash, gets what the Hugging Face Hub expects: config.json,
model.safetensors, README.md. Exits with 1, and writes nothing, if the file cannot be read or is not exactly one of
these networks.
"""
import argparse
import os
from pathlib import Path
from typing import List, Optional

from dic_plugin.checkpoints.figures import read_figures
from dic_plugin.checkpoints.files import CheckpointError, load_tensors, save_params, save_safetensors
from dic_plugin.checkpoints.model_card import model_card
from dic_plugin.checkpoints.published import convert, option_lines
from dic_plugin.checkpoints.weights import build_network, read_weights, weights_record
from dic_plugin.cli.arguments import command_parser, failed
from dic_plugin.utils.atomic_write import atomic_write


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; returns the exit status."""
    parser = command_parser('dic-convert', __doc__)
    path = os.path.expanduser
    parser.add_argument('source', type=path, metavar='IN.pth', help='a published checkpoint, or one of a training')
    parser.add_argument(
        'target', type=path, metavar='OUT', help='to write: .pth for BasicSR, .safetensors, or a new folder/')
    parser.add_argument('--licence', metavar='TEXT', help='of the weights, for their record (.safetensors, folder/)')
    parser.add_argument(
        '--figures',
        type=path,
        nargs='+',
        default=[],
        metavar='FILE',
        help='evaluation.json of dic-evaluate -o, one per test set, for their record')
    parser.add_argument('--discriminator', type=path, metavar='OUT_D.pth', help="file for a DICGAN's discriminator")
    args = parser.parse_args(argv)
    source = args.source
    targets = [args.target] if args.discriminator is None else [args.target, args.discriminator]
    try:
        paths = [source, *targets]
        if len({os.path.realpath(path) for path in paths}) < len(paths):
            raise CheckpointError(f'{", ".join(paths)}: expected different files; the original is never overwritten.')
        if args.target.endswith(('.safetensors', '/', os.sep)):
            return _hand_over(args)
        if args.licence or args.figures:
            raise CheckpointError(
                '--licence and --figures: BasicSR\'s .pth has no place for them; expected an OUT that '
                'ends in .safetensors or /.')
        converted = convert(load_tensors(source), source, args.discriminator is not None)
        for target in targets:
            os.makedirs(os.path.dirname(target) or '.', exist_ok=True)
        save_params(dict(zip(targets, (converted.params, converted.discriminator or {}))))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
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


def _hand_over(args: argparse.Namespace) -> int:
    if args.discriminator is not None:
        raise CheckpointError('--discriminator: a file of safetensors holds one network; expected an OUT.pth.')
    weights = read_weights(args.source)
    about = dict(weights.about or {})
    if args.licence:
        about['licence'] = args.licence
    if args.figures:
        about['figures'] = [figure for path in args.figures for figure in read_figures(path)]
    weights = weights._replace(about=about)
    network = build_network(weights, args.source)
    if args.target.endswith('.safetensors'):
        os.makedirs(os.path.dirname(args.target) or '.', exist_ok=True)
        save_safetensors(args.target, network.state_dict(), weights_record(weights))
    else:
        target = os.path.normpath(args.target)
        if os.path.exists(target):
            raise CheckpointError(f'{target}: exists; expected a new folder.')
        with atomic_write(target) as temporary:
            os.makedirs(temporary)
            Path(temporary, 'README.md').write_text(model_card(weights), encoding='utf-8')
            network.save_pretrained(temporary)
    print(f'{args.source}: DIC, {sum(value.numel() for value in network.parameters()) / 1e6:.2f} M parameters -> '
          f'{args.target}')
    return 0
