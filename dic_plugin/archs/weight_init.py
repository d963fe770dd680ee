"""Initialisation of every network here: Kaiming normal (fan in) with zero biases, as published."""
from torch import nn


def init_kaiming(module: nn.Module) -> None:
    """Fill every convolution and linear layer below ``module``, in place; PReLU slopes and norms stay as they are."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, a=0, mode='fan_in')
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
