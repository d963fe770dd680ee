"""DIC for spandrel, the library with which chaiNNer, ComfyUI and other programs load models.

    import dic_plugin.spandrel
    dic_plugin.spandrel.install()
    model = spandrel.ModelLoader().load_from_file('DIC.safetensors')  # model(image): B,3,16,16 to B,3,128,128, 0 to 1
"""
from typing import Any, Mapping

from spandrel import MAIN_REGISTRY, Architecture, ArchRegistry, ArchSupport, ImageModelDescriptor, SizeRequirements
from torch import Tensor

from dic_plugin.archs import DIC
from dic_plugin.checkpoints.files import CheckpointError
from dic_plugin.checkpoints.weights import build_network, weights_in

__all__ = ['DICArchitecture', 'install']

NAME = 'the state dict'  # in errors: spandrel does not tell the file's


class DICArchitecture(Architecture[DIC]):
    """DIC and DICGAN's generator, in the names of this project, of the paper's code and of OpenMMLab.

    spandrel hands over tensors alone. The number of steps, which no tensor's shape shows, is in the safetensors that
    dic-convert writes; for other files it is 4, as published.
    """

    def __init__(self) -> None:
        super().__init__(id='DIC', detect=_is_dic)

    def load(self, state_dict: Mapping[str, Tensor]) -> ImageModelDescriptor[DIC]:
        """Return the network with its description.

        Raises:
            CheckpointError: The tensors are not exactly those of a DIC.
        """
        weights = weights_in(dict(state_dict), NAME)
        network = build_network(weights, NAME)
        return ImageModelDescriptor(
            network,
            network.state_dict(),
            architecture=self,
            purpose='FaceSR',
            tags=[f'{network.num_steps} steps', f'{weights.options["num_feat"]}nf'],
            supports_half=False,
            supports_bfloat16=True,
            scale=network.upscale,
            input_channels=3,
            output_channels=3,
            size_requirements=SizeRequirements(multiple_of=max(64 // network.upscale, 1)))


def _is_dic(state_dict: Mapping[str, Any]) -> bool:
    keys = state_dict.keys()
    parts = ('hourglass.', 'HG.', 'hour_glass.')  # here, in the paper's code, in OpenMMLab
    if not any(part in key for key in keys for part in parts):  # the usual case, quickly
        return False
    try:
        weights_in(dict(state_dict), NAME)
    except CheckpointError:
        return False
    return True


def install(registry: ArchRegistry = MAIN_REGISTRY) -> None:
    """Add DIC to the architectures that spandrel recognises. A second call changes nothing."""
    registry.add(ArchSupport.from_architecture(DICArchitecture()), ignore_duplicates=True)
