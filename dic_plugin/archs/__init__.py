"""Importing this package registers its architectures."""
from dic_plugin.archs.attentive_fusion_arch import AttentiveFusion
from dic_plugin.archs.bicubic_arch import Bicubic
from dic_plugin.archs.dic_arch import DIC, DICOutput
from dic_plugin.archs.feedback_hourglass_arch import FeedbackHourglass
from dic_plugin.archs.light_cnn_arch import LightCNNDiscriminator, LightCNNFeature
from dic_plugin.archs.rivals import (
    RDN,
    SRFBN,
    FSRNet,
    PFSRDiscriminator,
    PFSRGenerator,
    SPARNet,
    SRResNet,
    URDGNDiscriminator,
    URDGNGenerator,
)
from dic_plugin.archs.stacked_hourglass_arch import StackedHourglass

__all__ = [
    'AttentiveFusion', 'Bicubic', 'DIC', 'DICOutput', 'FSRNet', 'FeedbackHourglass', 'LightCNNDiscriminator',
    'LightCNNFeature', 'PFSRDiscriminator', 'PFSRGenerator', 'RDN', 'SPARNet', 'SRFBN', 'SRResNet', 'StackedHourglass',
    'URDGNDiscriminator', 'URDGNGenerator'
]
