"""A sequence of layers in which every convolution runs together with the activation after it."""
from typing import Optional

from torch import Tensor, nn

from dic_plugin.ops.conv_act import Slope, conv_act, has_hooks


class ConvSequential(nn.Sequential):
    """nn.Sequential with conv_act in place of convolutions: same parameters, same names, same result."""

    def forward(self, *maps: Tensor, residual: Optional[Tensor] = None, out: Optional[Tensor] = None) -> Tensor:
        """Apply the layers.

        Args:
            maps: ``B,C_i,h,w`` each; the first layer, a convolution, sees them concatenated.
            residual: added to the result. The last layer is then a convolution.
            out: see conv_act; memory for the result.
        """
        layers = list(self)
        while layers:
            layer = layers.pop(0)
            if not isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                maps = (layer(*maps), )
                continue
            slope = None
            if layers and _is_plain_activation(layers[0]):
                slope = _slope(layers.pop(0))
            is_last = not layers
            maps = (conv_act(maps, layer, slope, residual if is_last else None, out if is_last else None), )
        return maps[0]


def _is_plain_activation(layer: nn.Module) -> bool:
    is_known = isinstance(layer, (nn.ReLU, nn.LeakyReLU)) or (isinstance(layer, nn.PReLU) and layer.num_parameters == 1)
    return is_known and not has_hooks(layer)


def _slope(layer: nn.Module) -> Slope:
    if isinstance(layer, nn.PReLU):
        return layer.weight
    return layer.negative_slope if isinstance(layer, nn.LeakyReLU) else 0.
