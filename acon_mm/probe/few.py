"""Few proposals, samples and pixels, while a detector is observed.

Heads of two stages run once a region, and an untrained first stage keeps
thousands of them; torchvision's enlarge each image. What runs and on how many
channels, few show as well.
"""
import contextlib
from collections.abc import Iterator
from typing import Any

import torch.nn as nn

# numbers of MMDetection's train_cfg and test_cfg, and of its samplers
FEW = dict(nms_pre=64, max_per_img=16, num_points=196, max_num=16)
FEW_SAMPLES = 16
# attributes of torchvision's detectors and of what they hold
FEW_OF_TORCHVISION = dict(
    min_size=(128, ), max_size=192, topk_candidates=64, detections_per_img=16,
    batch_size_per_image=16)
FEW_PROPOSALS = dict(_pre_nms_top_n=64, _post_nms_top_n=16)


@contextlib.contextmanager
def with_few_regions(model: nn.Module) -> Iterator[None]:
    """Lower the numbers of regions that ``model`` looks at."""
    saved = []
    try:
        for holder, name, few in list(_numbers(model)):
            saved.append((holder, name, holder[name]))
            holder[name] = min(holder[name], few)
        yield
    finally:
        for holder, name, value in reversed(saved):
            holder[name] = value


def _numbers(model: nn.Module) -> Iterator[tuple[dict, str, Any]]:
    """Where each is, its name, and how many are enough."""
    for module in model.modules():
        for name in ('train_cfg', 'test_cfg'):
            yield from _of_config(getattr(module, name, None))
        yield from _of_torchvision(module)
        for value in list(vars(module).values()):
            for one in value if isinstance(value, (list, tuple)) else [value]:
                if hasattr(one, 'pos_fraction') and isinstance(
                        vars(one).get('num'), int):
                    yield vars(one), 'num', FEW_SAMPLES


def _of_config(config) -> Iterator[tuple[dict, str, int]]:
    if isinstance(config, (list, tuple)):
        for item in config:
            yield from _of_config(item)
    if isinstance(config, dict):
        for name, value in config.items():
            if name in FEW and isinstance(value, int):
                yield config, name, FEW[name]
            yield from _of_config(value)


def _of_torchvision(module: nn.Module) -> Iterator[tuple[dict, str, Any]]:
    if not type(module).__module__.startswith('torchvision.'):
        return
    sampler = getattr(module, 'fg_bg_sampler', None)
    for holder in map(vars, filter(None, (module, sampler))):
        for name, few in FEW_OF_TORCHVISION.items():
            if isinstance(holder.get(name), type(few)):
                yield holder, name, few
    for name, few in FEW_PROPOSALS.items():  # in training and in testing
        numbers = vars(module).get(name, {})
        yield from ((numbers, mode, few) for mode in numbers)
