"""A network that always sees batches of one size, so that it can be compiled once and recorded as a CUDA graph."""
from typing import Any, Callable, Dict, Tuple

import torch
from torch import Tensor, nn

from dic_plugin.archs import DICOutput

__all__ = ['FixedBatch']


class FixedBatch:
    """Runs a DIC with every step's results on batches that are filled up to one size.

    Args:
        network: A DIC in evaluation mode.
        batch_size: Faces that the network sees at once. A smaller batch is filled up with copies of its last face.
        compiled: By torch.compile.
        graphs: As CUDA graphs, one for each size of faces, recorded at its first batch.
    """

    def __init__(self, network: nn.Module, batch_size: int, compiled: bool, graphs: bool) -> None:
        self.batch_size, self.graphs = batch_size, graphs
        self._forward: Callable[..., DICOutput] = torch.compile(network, dynamic=False) if compiled else network
        self._recorded: Dict[torch.Size, Tuple[Any, Tensor, DICOutput]] = {}

    def __call__(self, batch: Tensor) -> DICOutput:
        """Return every step's results for ``B,3,h,w``. The next call of a graph overwrites them."""
        number = len(batch)
        if number < self.batch_size:
            batch = torch.cat([batch, batch[-1:].expand(self.batch_size - number, -1, -1, -1)])
        out = self._replay(batch) if self.graphs else self._forward(batch, return_steps=True)
        return DICOutput(*([x[:number] for x in maps] for maps in out))

    def _replay(self, batch: Tensor) -> DICOutput:
        if batch.shape not in self._recorded:
            self._recorded[batch.shape] = self._record(batch)
        graph, place, out = self._recorded[batch.shape]
        place.copy_(batch)
        graph.replay()
        return out

    def _record(self, batch: Tensor) -> Tuple[Any, Tensor, DICOutput]:
        place = batch.clone()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        # weights that autocast keeps until its end would be missing in later replays
        amp = torch.is_autocast_enabled('cuda'), torch.get_autocast_dtype('cuda')
        with torch.autocast('cuda', enabled=amp[0], dtype=amp[1], cache_enabled=False):
            with torch.cuda.stream(stream):  # compiles kernels and chooses algorithms, which cannot be recorded
                for _ in range(3):
                    self._forward(place, return_steps=True)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                out = self._forward(place, return_steps=True)
        return graph, place, out
