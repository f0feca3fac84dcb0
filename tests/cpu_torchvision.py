"""torchvision beside a CPU build of torch.

mmpretrain imports torchvision, whose compiled operators need CUDA. It lies in
a folder of its own, where nothing else in the environment finds it: MMEngine
imports every torchvision that it sees and fails on one like this.
"""
import importlib.util
import sys
from pathlib import Path

import torch

OPERATORS = ('nms', 'qnms', 'roi_align', '_roi_align_backward', 'qroi_align',
             'ps_roi_align', '_ps_roi_align_backward', 'roi_pool',
             '_roi_pool_backward', 'ps_roi_pool', '_ps_roi_pool_backward',
             'deform_conv2d', '_deform_conv2d_backward')


def make_importable() -> None:
    """Declare the operators, which the import looks up; none will run."""
    if importlib.util.find_spec('torchvision') is not None:
        return
    sys.path.append(str(Path(sys.prefix) / 'torchvision'))
    for name in OPERATORS:
        torch.library.define(f'torchvision::{name}', '() -> ()')
