"""The studies that are built in: what is trained, how often."""
from typing import NamedTuple

BASELINES = ('ReLU', 'SiLU', 'PReLU', 'PReLU:lr_mult=100',
             'PReLU:init=0,lr_mult=100', 'AconC:init=leaky,lr_mult=100',
             'AconC:init=paper', 'AconC:init=paper,lr_mult=100',
             'AconC:init=paper,lr_mult=1')
# SGD's; what a first look needs, in the order of the runs
CORE = ('ReLU', 'PReLU', 'AconC:init=leaky', 'SiLU', 'AconC:init=paper')
MORE = ('AconC:init=match', 'AconC:p1=1,p2=0,beta=1',
        'MetaAconC:init=leaky', 'MetaAconC:init=paper')
FAMILY = (
    'GELU', 'FReLU:init=paper', 'AconA:beta=1', 'AconB:init=leaky',
    'AconB:init=paper',
    'MetaAconC:init=leaky,level=layer', 'MetaAconC:init=leaky,level=pixel',
    'AconC:p1=1,p2=0.25,beta=10')
# AdamW's; its slopes train at 100 times the rate by default
SCRATCH = ('ReLU', 'PReLU', 'AconC:init=leaky,lr_mult=100', 'SiLU',
           'AconC:init=paper,lr_mult=1', 'AconC:init=leaky,lr_mult=1',
           'PReLU:lr_mult=100', 'AconC:init=match,lr_mult=100',
           'AconC:init=paper,lr_mult=100')
DENSE = (*SCRATCH, 'MetaAconC:init=leaky,norm_cfg=None,lr_mult=100')
# does the member matter at one start, and learning beta?
EQUAL = ('MetaAconC:init=leaky,lr_mult=100',
         'AconC:init=leaky,lr_mult=100,fixed=beta',
         'MetaAconC:init=paper,lr_mult=100')
# from ReLU weights by SGD
SGD = ('ReLU', 'AconC:init=match,lr_mult=10', 'AconC:init=match,lr_mult=1',
       'AconC:init=match,lr_mult=30')

# from trained ReLU networks, at 'all'; PReLU begins as ReLU too
WARM = ('ReLU', 'AconC:init=match,lr_mult=100', 'AconC:init=match,lr_mult=1',
        'AconC:p1=1,p2=0,beta=1,lr_mult=100', 'PReLU:init=0',
        'PReLU:init=0,lr_mult=100',
        'AconC:init=match,lr_mult=30', 'AconC:init=match,open=1,lr_mult=1',
        'AconC:p1=1,p2=0,beta=1,lr_mult=1',
        'AconC:p1=1,p2=0,beta=1,lr_mult=30')
# what the one-line override gives is the first
DEFAULT = ('MetaAconC:init=match,placement=paper,lr_mult=100',
           'MetaAconC:init=match,lr_mult=100',
           'MetaAconC:init=match,lr_mult=1')


class Part(NamedTuple):
    """A config of ``configs/`` with its activations and seeds.

    With a ``base`` each seed trains that first, and every activation goes on
    from its weights.
    """
    config: str
    activations: tuple[str, ...]
    seeds: int
    base: str | None = None


STUDIES: dict[str, tuple[Part, ...]] = {
    # a night on two cores
    'small': (
        Part('study/cifar10_mobilenetv1-0.25x_15e.py',
             (*CORE, *MORE, *FAMILY), 5),
        Part('study/cifar10_r18-w16_15e.py', (*CORE, *MORE), 5),
        Part('shapes/retinanet_r18_fpn_400i_shapes.py', DENSE, 3),
        Part('shapes/pspnet_r18-d8_200i_shapes.py', DENSE, 3),
        Part('study/retinanet_r18_fpn-64_400i_bccd.py', DENSE, 3),
        Part('study/pspnet_r18-d16_400i_camvid.py', DENSE, 3),
        Part('study/retinanet_r18_fpn-64_400i_bccd.py', (*WARM, *DEFAULT), 5,
             base='ReLU'),
        Part('study/pspnet_r18-d16_400i_camvid.py', (*WARM, *DEFAULT), 5,
             base='ReLU'),
        Part('shapes/retinanet_r18_fpn_400i_shapes.py', (*WARM, *DEFAULT), 5,
             base='ReLU'),
        Part('study/cifar10_mobilenetv1-0.25x_8e.py',
             (*SCRATCH, *EQUAL), 5),
        Part('study/cifar10_mobilenetv1-0.25x_8e.py', WARM, 5, base='ReLU'),
        Part('study/cifar10_mobilenetv1-0.25x_8e-sgd.py', SGD, 5,
             base='ReLU'),
        Part('study/retinanet_r18_fpn-64_400i_bccd-sgd.py', SGD, 5,
             base='ReLU')),
    # a GPU, runs of a few minutes each
    'large': (
        Part('study/cifar10_mobilenetv1-1.0x_60e.py',
             (*CORE, *MORE, *FAMILY), 5),
        Part('study/cifar10_r18_60e.py', (*CORE, *MORE, *FAMILY), 5),
        Part('study/retinanet_r18_fpn_2000i_bccd.py', (*CORE, *MORE), 5),
        Part('study/pspnet_r18-d8_4000i_camvid.py', (*CORE, *MORE), 5),
        Part('study/retinanet_r18_fpn_2000i_bccd.py', (*WARM, *DEFAULT), 5,
             base='ReLU'),
        Part('study/pspnet_r18-d8_4000i_camvid.py', (*WARM, *DEFAULT), 5,
             base='ReLU')),
}
# of the study as it is meant, what no part of the plans covers
OPEN = (
    'backbones pretrained with each activation and then transferred',
    'Mask R-CNN; longer budgets and wider networks (--size large)',
    'why: gradients of p and beta, weight decay',
)
