"""The network for other runtimes: ONNX, checked and timed against PyTorch."""
