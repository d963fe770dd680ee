"""The README of weights that are handed over as a folder, from what their file records."""
from dic_plugin.checkpoints.figures import figure_lines
from dic_plugin.checkpoints.published import Checkpoint
from dic_plugin.version import __version__

__all__ = ['model_card']


def model_card(weights: Checkpoint) -> str:
    """Return the text, in Markdown with the head that the Hugging Face Hub reads."""
    options = dict(weights.options)
    upscale, size = options['upscale'], weights.input_size
    side = size * upscale
    trained_on = ', '.join(weights.trained_on) if weights.trained_on else 'not recorded'
    margin = 'not recorded' if weights.margin is None else f'{weights.margin:g} of their size around the landmarks'
    numbers = sum(value.numel() for value in weights.params.values())
    about = weights.about or {}
    licence = about.get('licence', 'not recorded')
    figures = '\n'.join(['', *figure_lines(about.get('figures', [])), ''])
    table = '\n'.join(f'| `{key}` | {value} |' for key, value in options.items())
    return f"""---
library_name: dic_plugin
pipeline_tag: image-to-image
tags: [face-super-resolution, super-resolution, pytorch_model_hub_mixin]
---

# DIC, face super-resolution x{upscale}

Weights of DIC (Ma et al., CVPR 2020) for [BasicSR](https://github.com/XPixelGroup/BasicSR), written by dic_plugin
{__version__}.
{numbers / 1e6:.2f} M parameters; faces of {size}x{size} pixels become {side}x{side}.

| | |
| --- | --- |
| Training set | {trained_on} |
| Crops | {margin} |
| Licence | {licence} |
{table}
{figures}
```python
from dic_plugin.archs import DIC
network = DIC.from_pretrained('this folder')  # RGB in [0, 1], B,3,{size},{size} -> B,3,{side},{side}
```

A restored face is a plausible face, not the original one: {size}x{size} pixels are compatible with many people.
"""
