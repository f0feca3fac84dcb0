"""A small model to train with AconStatsHook, by tests and by torchrun."""
import sys
from pathlib import Path

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn

from acon_mm import AconC, MetaAconC


class Small(BaseModel):
    """Counts the hooks on its activations at each iteration."""

    def __init__(self, kinds=(MetaAconC, AconC)) -> None:
        super().__init__()
        parts = [(nn.Conv2d(c, 8, 3), nn.BatchNorm2d(8), kind(8))
                 for c, kind in zip((3, 8), kinds)]
        self.stage1, self.stage2 = (nn.Sequential(*part) for part in parts)
        self.watched = []

    def forward(self, inputs, mode='tensor', **kwargs):
        self.watched.append(sum(
            len(module._forward_pre_hooks) for module in self.modules()))
        out = self.stage2(self.stage1(torch.stack(inputs)))
        self.dtype = out.dtype
        return dict(loss=out.square().mean())


class Bfloat16(OptimWrapper):
    """Mixed precision on the CPU, which AmpOptimWrapper refuses."""

    def optim_context(self, model):
        return torch.autocast('cpu', torch.bfloat16)


def train(work_dir, hook, iterations=4, kinds=(MetaAconC, AconC),
          wrapper=OptimWrapper, launcher='none', **config):
    """The trained model; its hooks are counted."""
    torch.manual_seed(0)
    model = Small(kinds)
    images = torch.randn(
        8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    config.setdefault('visualizer', dict(
        type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]))
    runner = Runner(
        model, str(work_dir),
        train_dataloader=dict(
            dataset=[dict(inputs=image) for image in images], batch_size=4,
            sampler=dict(type='InfiniteSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'), num_workers=0),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations),
        optim_wrapper=wrapper(torch.optim.SGD(model.parameters(), .1)),
        default_hooks=dict(checkpoint=None, acon=hook),
        # visualizers are told apart by it, else by the second they began in
        experiment_name=str(work_dir).replace('/', '_'),
        launcher=launcher, env_cfg=dict(dist_cfg=dict(backend='gloo')),
        randomness=dict(seed=0), **config)
    runner.train()
    return model


if __name__ == '__main__':
    import cpu_launcher  # noqa: F401
    trained = train(
        Path(sys.argv[1]), dict(type='acon_mm.AconStatsHook', interval=2),
        launcher='pytorch', cfg=dict(model_wrapper_cfg=dict(
            type='MMDistributedDataParallel', device_ids=None)))
    print('watched', sum(trained.watched), 'beta',
          trained.stage2[2].beta.sum().item(), flush=True)
