"""A short training by MMEngine's strategies, launched by torchrun.

``fsdp_training.py STRATEGY WORK_DIR`` with FSDPStrategy or DDPStrategy.
"""
import sys

import cpu_launcher  # noqa: F401
import torch
from mmengine.model import BaseModel
from mmengine.runner import FlexibleRunner
from torch import nn

from acon_mm import swap_activations

# on a CPU, moving to it what is there already frees it in PyTorch's FSDP
FULL = dict(offload_to_cpu=False, rank0_only=True)
STRATEGIES = dict(
    DDPStrategy=dict(model_wrapper=dict(
        type='MMDistributedDataParallel', device_ids=None)),
    FSDPStrategy=dict(
        model_wrapper=dict(device_id=torch.device('cpu')),
        state_dict_cfg=dict(
            state_dict_type='FULL_STATE_DICT',
            state_dict_config=dict(type='FullStateDictConfig', **FULL),
            optim_state_dict_config=dict(
                type='FullOptimStateDictConfig', **FULL))))


class Net(BaseModel):
    """Two convolutions with norms, the second with meta-ACON behind it."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        for place, act_cfg in (('2', dict(type='AconC')), (
                '5', dict(type='MetaAconC', norm_cfg=None))):
            swap_activations(self.layers, dict(act_cfg, init='leaky'),
                             [place])

    def forward(self, x, mode='tensor'):
        y = self.layers(x)
        return dict(loss=(y - 1).square().mean()) if mode == 'loss' else y


def main():
    strategy, work_dir = sys.argv[1:]
    torch.manual_seed(0)
    images = list(torch.randn(8, 3, 6, 6))
    FlexibleRunner(
        Net(), work_dir=work_dir, launcher='pytorch',
        strategy=dict(type=strategy, **STRATEGIES[strategy]),
        train_dataloader=dict(
            batch_size=2, dataset=images,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=lambda items: dict(x=torch.stack(items))),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1, momentum=.9)),
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        experiment_name=strategy).train()


if __name__ == '__main__':
    main()
