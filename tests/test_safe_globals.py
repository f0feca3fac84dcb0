"""MMEngine's checkpoints load under torch's safe loading; others do not."""

import os
import subprocess
import sys
from pickle import UnpicklingError

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner

from acon_mm.checkpoints.safe_globals import register_safe_globals
from acon_mm.functional.torch_versions import VERSION

register_safe_globals()

pytestmark = pytest.mark.skipif(
    VERSION < (2, 4), reason='PyTorch before 2.4 has no list of safe types')


class Calls:
    """An object whose pickle calls ``function(*args)`` when it is read."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


class TinyModel(BaseModel):
    """One weight, trained towards zero."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, *inputs, mode='tensor'):
        return dict(loss=self.linear(torch.stack(inputs)).square().sum())


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Checkpoint of a real run, and the losses that its message hub holds."""
    work_dir = tmp_path_factory.mktemp('run')
    runner = Runner(
        TinyModel(),
        str(work_dir),
        experiment_name=work_dir.name,
        train_dataloader=dict(
            batch_size=2,
            dataset=[torch.ones(1)] * 6,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate')),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1, momentum=.9)),
        param_scheduler=dict(type='LinearLR', start_factor=.5),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook')),
        randomness=dict(seed=0))
    # as a metric's best value is kept
    runner.message_hub.update_info('best_score', np.float32(.5))
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    return work_dir / 'epoch_1.pth', losses


# the package alone is imported, as a config that names its scope does
READ = """
import sys
from pickle import UnpicklingError
from mmengine.runner import CheckpointLoader
try:
    CheckpointLoader.load_checkpoint(sys.argv[1])
except UnpicklingError:
    print('refused')
import acon_mm
hub = CheckpointLoader.load_checkpoint(sys.argv[1])['message_hub']
losses = hub['log_scalars']['train/loss'].data[0]
print(*losses, hub['runtime_info']['best_score'])
"""


def test_a_fresh_process_reads_a_runner_checkpoint(trained):
    checkpoint, losses = trained
    process = subprocess.run([sys.executable, '-c', READ, checkpoint],
                             capture_output=True,
                             text=True)
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert 'refused' in lines
    assert [float(word) for word in lines[-1].split()] == [*losses, .5]
    assert len(losses) == 3 and len(set(losses)) == 3


@pytest.mark.parametrize('dtype', ['?', 'i1', 'u2', 'i8', 'f2', 'f4', 'f8'])
def test_numbers_of_numpy_survive(tmp_path, dtype):
    array = np.arange(3).astype(dtype)
    torch.save(dict(array=array, scalar=array[1]), tmp_path / 'c.pth')
    read = torch.load(tmp_path / 'c.pth', weights_only=True)
    assert read['array'].dtype == read['scalar'].dtype == dtype
    assert read['array'].tolist() == array.tolist()
    assert read['scalar'] == array[1]


def test_statistics_work_after_loading(tmp_path):
    torch.save(HistoryBuffer([1., 4., 3.], [1, 1, 2]), tmp_path / 'c.pth')
    buffer = torch.load(tmp_path / 'c.pth', weights_only=True)
    assert buffer.statistics('min') == 1 and buffer.statistics('max') == 4
    assert buffer.statistics('current') == 3
    assert buffer.mean() == 2  # (1 + 4 + 3) over the counts 1 + 1 + 2


@pytest.mark.parametrize('pickled', [
    Calls(getattr, np.ndarray, 'tofile'),
    Calls(getattr, HistoryBuffer, 'register_statistics'),
    Calls(getattr, HistoryBuffer, '__init__'),
    Calls(getattr, Calls(getattr, HistoryBuffer, 'min'), '__globals__'),
    Calls(eval, '1'),
])
def test_any_other_attribute_or_call_is_refused(tmp_path, pickled):
    torch.save(pickled, tmp_path / 'c.pth')
    with pytest.raises(UnpicklingError, match='weights_only'):
        torch.load(tmp_path / 'c.pth', weights_only=True)


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    trace = tmp_path / 'trace'
    torch.save(Calls(os.mkdir, str(trace)), tmp_path / 'c.pth')
    with pytest.raises(UnpicklingError):
        torch.load(tmp_path / 'c.pth', weights_only=True)
    assert not trace.exists()
    # the same file does run it once safe loading is off
    torch.load(tmp_path / 'c.pth', weights_only=False)
    assert trace.exists()
