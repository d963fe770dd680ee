"""Export to other runtimes: ONNX, compared with PyTorch."""
