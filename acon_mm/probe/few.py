"""Few proposals and samples, while a detector is observed.

Heads of two stages run once a region, and an untrained first stage keeps
thousands of them; what runs and on how many channels, few show as well.
"""
import contextlib
from collections.abc import Iterator

import torch.nn as nn

# numbers of MMDetection's train_cfg and test_cfg, and of its samplers
FEW = dict(nms_pre=64, max_per_img=16, num_points=196, max_num=16)
FEW_SAMPLES = 16


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


def _numbers(model: nn.Module) -> Iterator[tuple[dict, str, int]]:
    """Where each is, its name, and how many are enough."""
    for module in model.modules():
        for name in ('train_cfg', 'test_cfg'):
            yield from _of_config(getattr(module, name, None))
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
