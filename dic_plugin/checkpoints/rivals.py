"""Published PyTorch checkpoints of the networks that the paper compares with, recognised by their lists of names.

Those networks were written so that their tensors come in the published order; the names are exchanged one by one.
"""
from hashlib import sha256
from typing import Any, Dict, List, Mapping, Optional, Tuple

import torch
from basicsr.archs import build_network
from torch import Tensor

from dic_plugin.checkpoints.files import CheckpointError

__all__ = ['RIVALS', 'convert_rival']

FIXED = ('sub_mean.', 'add_mean.')  # shifts by the mean colour, which are not weights here
# The first 16 digits of the SHA-256 of the names, one a line, without FIXED: the type, and options beside those that
# the shapes show.
KNOWN: Dict[str, Tuple[str, Dict[str, Any]]] = {
    '29da46138c41c1b5': ('SRFBN', {'num_groups': 6}),
    '39606a324a445e1d': ('SRFBN', {'num_groups': 3}),
    '3a03075c6dcc5e17': ('RDN', {'upscale': 4, 'num_block': 16, 'num_layer': 8}),
    'd0205f76f11657f1': ('RDN', {'upscale': 8, 'num_block': 16, 'num_layer': 8}),
    '636cac825f301374': ('PFSRGenerator', {}),
    '3c4473c9504bebc8': ('PFSRDiscriminator', {}),
    '2834998cd81cc193': ('FSRNet', {'num_keypoints': 68, 'num_parsing': 11}),
    'a448cf81d8de8ae3': ('FSRNet', {'num_keypoints': 0, 'num_parsing': 11}),
    'b0fc8e3034366394': ('FSRNet', {'num_keypoints': 68, 'num_parsing': 0}),
    '82bb7e0562184b65': ('SPARNet', {}),
    'cd023cb1da9e2111': ('SPARNet', {'num_block': 1, 'attention_3d': True}),
}  # yapf: disable

RIVALS = {kind for kind, _ in KNOWN.values()}


def convert_rival(params: Mapping[str, Tensor], path: str) -> Optional[Tuple[str, Dict[str, Tensor], Dict[str, Any]]]:
    """Convert a published state dict.

    Args:
        params: The state dict, in the order of the file.
        path: Its name in errors.

    Returns:
        Type, parameters in BasicSR's form and options of the network; None if the names are of none.

    Raises:
        CheckpointError: The names are known and the shapes are of no such network; names the first.
    """
    names = [name for name in params if not name.startswith(FIXED)]
    known = KNOWN.get(sha256('\n'.join(names).encode()).hexdigest()[:16])
    if known is None:
        return None
    kind, options = known[0], {**known[1], **_sizes(known[0], params, names)}
    with torch.device('meta'):  # without memory or initialisation
        expected = build_network({'type': kind, **options}).state_dict()
    for name, shape in zip(names, (value.shape for value in expected.values())):
        if params[name].shape != shape:
            raise CheckpointError(f'{path}: looks like a published {kind}, but {name} has the shape '
                                  f'{tuple(params[name].shape)}; expected {tuple(shape)}.')
    return kind, {own: params[name].detach() for own, name in zip(expected, names)}, options


def _sizes(kind: str, params: Mapping[str, Tensor], names: List[str]) -> Dict[str, int]:
    """Return the options that the shapes show."""
    if kind == 'SRFBN':
        width, kernel = params['out.0.weight'].shape[0], params['out.0.weight'].shape[-1]
        return {'num_feat': width, 'upscale': kernel - 4}
    return {'num_feat': len(params[names[0]])} if kind == 'RDN' else {}
