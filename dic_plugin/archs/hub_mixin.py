"""The Hugging Face Hub's methods for a network, where ``huggingface_hub`` is installed."""
from typing import Any

__all__ = ['HubMixin']

try:
    from huggingface_hub import PyTorchModelHubMixin
except ImportError:  # an optional extra

    class HubMixin:
        """Stands in for the methods and says what is missing."""

        def __init_subclass__(cls, **_: Any) -> None:
            super().__init_subclass__()

        @classmethod
        def from_pretrained(cls, *_: Any, **__: Any) -> Any:
            """Raise ModuleNotFoundError: ``huggingface_hub`` is not installed."""
            raise ModuleNotFoundError("huggingface_hub is not installed: `pip install 'dic_plugin[hub]'`.")

        save_pretrained = push_to_hub = from_pretrained
else:

    class HubMixin(PyTorchModelHubMixin):  # type: ignore[no-redef]
        """``from_pretrained``, ``save_pretrained``, ``push_to_hub``: folders of config.json and model.safetensors."""

        @classmethod
        def _from_pretrained(cls, *, strict: bool = True, **options: Any) -> Any:  # it loads what fits by default
            return super()._from_pretrained(strict=strict, **options)
