"""Two steps of an overridden backbone under DDP, run by torchrun."""
import torch
import torch.distributed as dist
from mmengine.registry import MODELS, init_default_scope
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group('gloo')
torch.manual_seed(dist.get_rank())
init_default_scope('mmdet')
model = MODELS.build(
    dict(type='acon_mm.ResNet', depth=18, placement='all',
         frozen_stages=-1, norm_eval=False))
# an unused parameter would make the second forward pass fail
parallel = DistributedDataParallel(model)
optimizer = torch.optim.SGD(parallel.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    parallel(torch.randn(2, 3, 64, 64))[-1].square().mean().backward()
    optimizer.step()
for name, parameter in model.named_parameters():
    mine = parameter.detach().clone()
    dist.broadcast(parameter.data, 0)
    assert torch.equal(mine, parameter), f'{name} differs'
print(f'rank {dist.get_rank()}: same parameters', flush=True)
dist.destroy_process_group()
