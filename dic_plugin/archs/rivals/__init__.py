"""Networks that the paper compares DIC with, for x8 on faces; importing this package registers them.

Written from layer tables and checked against figures of the published code (tests/archs/rivals). All take 16x16 faces
in RGB, 0 to 1, and return 128x128; what a network needs otherwise, such as another range, happens inside. Parameters
are registered in the order of the published ones.
"""
from dic_plugin.archs.rivals.fsrnet_arch import FSRGANDiscriminator, FSRNet, FSRNetOutput
from dic_plugin.archs.rivals.pfsr_arch import PFSRDiscriminator, PFSRGenerator, PFSRLandmarks
from dic_plugin.archs.rivals.rdn_arch import RDN
from dic_plugin.archs.rivals.sparnet_arch import SPARNet
from dic_plugin.archs.rivals.srfbn_arch import SRFBN
from dic_plugin.archs.rivals.srresnet_arch import SRResNet
from dic_plugin.archs.rivals.urdgn_arch import URDGNDiscriminator, URDGNGenerator

__all__ = [
    'FSRGANDiscriminator', 'FSRNet', 'FSRNetOutput', 'PFSRDiscriminator', 'PFSRGenerator', 'PFSRLandmarks', 'RDN',
    'SPARNet', 'SRFBN', 'SRResNet', 'URDGNDiscriminator', 'URDGNGenerator'
]
