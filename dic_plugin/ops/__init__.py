"""Operations with a fast path of their own, in the manner of ``basicsr.ops``."""
from dic_plugin.ops.conv_act import conv_act, lay_out_weights, native, native_is_available, reuses_memory
from dic_plugin.ops.conv_sequential import ConvSequential

__all__ = ['ConvSequential', 'conv_act', 'lay_out_weights', 'native', 'native_is_available', 'reuses_memory']
