"""Checkpoints of a run: whole or not there, whatever happens meanwhile."""
import contextlib
import io
import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner import Runner, load_checkpoint, save_checkpoint
from torch import nn

from acon_mm import AconC, MetaAconC
from acon_mm.checkpoints import load_released
from acon_mm.functional.torch_versions import VERSION

LIMIT = 500_000  # bytes that a file may have


class Small(BaseModel):
    """A linear layer with ACON-C behind it."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 3), AconC(3))
        self.register_buffer('ballast', torch.zeros(LIMIT))

    def forward(self, *inputs, mode='tensor'):
        return dict(loss=self.layers(torch.stack(inputs)).square().sum())


def make_runner(work_dir, epochs, **more):
    torch.manual_seed(0)
    checkpoint = dict(type='CheckpointHook', interval=1)
    return Runner(
        Small(), str(work_dir), experiment_name=work_dir.name,
        train_dataloader=dict(
            batch_size=2, dataset=[torch.ones(2), torch.zeros(2)] * 2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate')),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1, momentum=.9)),
        custom_hooks=[dict(type='EMAHook', momentum=.5)],
        default_hooks=dict(checkpoint=checkpoint), randomness=dict(seed=0),
        **more)


@pytest.fixture
def trained(tmp_path):
    """The folder of a run of one epoch."""
    make_runner(tmp_path / 'run', 1).train()
    return tmp_path / 'run'


@contextlib.contextmanager
def full_disk():
    """No file can be longer than LIMIT."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def contents(folder):
    """Of all files but the config, which each start leaves."""
    return {path.name: path.read_bytes() for path in folder.iterdir()
            if path.is_file() and path.suffix != '.py'}


def test_a_resumed_run_ends_as_an_undisturbed_one(trained, tmp_path):
    make_runner(trained, 3, resume=True).train()
    make_runner(tmp_path / 'whole', 3).train()
    resumed, whole = (
        torch.load(folder / 'epoch_3.pth', weights_only=VERSION >= (2, 4))
        for folder in (trained, tmp_path / 'whole'))
    for part in ('state_dict', 'ema_state_dict'):
        assert resumed[part].keys() == whole[part].keys()
        for key, value in whole[part].items():
            assert torch.equal(resumed[part][key], value), key
    averaged, last = (whole[part][key] for part, key in (
        ('state_dict', 'layers.1.p1'), ('ema_state_dict',
                                        'module.layers.1.p1')))
    assert not torch.equal(averaged, last)


def test_a_full_disk_ends_the_run_and_keeps_what_was_saved(trained):
    before = contents(trained)
    runner = make_runner(trained, 2, resume=True)
    with full_disk(), pytest.raises(OSError):
        runner.train()
    assert contents(trained) == before


def test_a_full_disk_does_not_cost_the_checkpoint_in_the_way(trained):
    before = contents(trained)
    with full_disk(), pytest.raises(OSError):
        save_checkpoint(dict(state=torch.ones(LIMIT)),
                        str(trained / 'epoch_1.pth'))
    assert contents(trained) == before


def save_and_be_killed(path):
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    with full_disk():
        save_checkpoint(dict(state=torch.ones(LIMIT)), path)


def test_a_signal_does_not_cost_the_checkpoint_in_the_way(trained):
    path = trained / 'epoch_1.pth'
    before = path.read_bytes()
    process = multiprocessing.get_context('fork').Process(
        target=save_and_be_killed, args=(str(path), ))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGXFSZ
    assert path.read_bytes() == before
    # the next one takes away what is left of it
    save_checkpoint(dict(state=torch.ones(LIMIT)), str(path))
    assert torch.load(path)['state'].sum() == LIMIT
    assert [p.name for p in trained.iterdir() if 'epoch' in p.name] == [
        'epoch_1.pth']


def test_a_link_and_a_device_are_written_to(tmp_path):
    (tmp_path / 'link.pth').symlink_to(tmp_path / 'there.pth')
    save_checkpoint(dict(epoch=7), str(tmp_path / 'link.pth'))
    assert torch.load(tmp_path / 'there.pth') == dict(epoch=7)
    save_checkpoint(dict(epoch=7), '/dev/null')
    assert Path('/dev/null').is_char_device()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-500])


def diverge(path):
    content = torch.load(path, weights_only=False)
    next(iter(content['state_dict'].values())).view(-1)[-1] = torch.nan
    torch.save(content, path)


@pytest.mark.parametrize('spoil, words', [
    (truncate, r'cannot be read as a checkpoint \(.+\): it is damaged or cut'),
    (diverge, r'has NaN among the numbers of \S+: take a checkpoint from')])
def test_a_bad_checkpoint_is_an_error_and_changes_nothing(spoil, words,
                                                          trained):
    spoil(trained / 'epoch_1.pth')
    before = contents(trained)
    runner = make_runner(trained, 2, resume=True)
    with pytest.raises(ValueError, match=f'epoch_1.pth {words}'):
        runner.train()
    assert contents(trained) == before


def test_infinity_may_be_a_mask(tmp_path):
    path = tmp_path / 'masked.pth'
    torch.save({'mask': torch.tensor([0., -torch.inf])}, path)
    load_checkpoint(torch.nn.Identity(), str(path))
    assert load_released(path)['mask'][1] == -torch.inf


def loading(model, path):
    """What MMEngine says of a checkpoint, line by line."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        load_checkpoint(model, str(path))
    return [line for line in said.getvalue().splitlines()
            if 'source state_dict' in line]


@pytest.mark.parametrize('act, keys', [
    ('AconA', 1), ('AconB', 2), ('MetaAconC', 16)])
def test_the_stock_model_says_in_a_line_what_it_does_not_take(
        act, keys, tmp_path, scope):
    scope('mmdet')
    acon = MODELS.build(dict(type='acon_mm.ResNet', depth=18,
                             act_cfg=dict(type=act)))
    stock = MODELS.build(dict(type='ResNet', depth=18))
    state = dict(acon.state_dict(), strange=torch.zeros(1))
    torch.save(dict(state_dict=state), tmp_path / 'acon.pth')
    line, = loading(stock, tmp_path / 'acon.pth')
    assert line == (
        f'unexpected key in source state_dict: strange, {16 * keys} of 16 '
        'ACON activations, which this model does not have')
    assert torch.equal(stock.conv1.weight, acon.conv1.weight)
    # and nothing is said where all fits
    assert loading(acon, tmp_path / 'acon.pth') == [
        'unexpected key in source state_dict: strange']


def test_keys_that_look_alike_are_named(tmp_path):
    net = nn.Sequential(nn.Linear(2, 2))
    state = {**net.state_dict(), 'norm.beta': torch.zeros(2),
             'norm.gamma': torch.zeros(2), '1.bn1.weight': torch.zeros(2),
             '1.p1': torch.zeros(2)}
    torch.save(state, tmp_path / 'other.pth')
    line, = loading(net, tmp_path / 'other.pth')
    for key in ('norm.gamma', '1.bn1.weight', '1.p1'):
        assert key in line


def test_torch_itself_names_every_key_that_is_too_many():
    state = nn.Sequential(nn.Conv2d(3, 4, 1), MetaAconC(4)).state_dict()
    unexpected = nn.Sequential(nn.Conv2d(3, 4, 1)).load_state_dict(
        state, strict=False).unexpected_keys
    assert {'1.p1', '1.fc1.weight'} < {*unexpected} and len(unexpected) == 16


def from_mmdet(tmp_path, text="default_scope = 'mmdet'", **more):
    path = tmp_path / 'in.pth'
    torch.save(dict(meta=dict(cfg=text), state_dict={}, **more), path)
    return path


def test_publishing_replaces_nothing(tool, tmp_path):
    source = from_mmdet(tmp_path)
    before = source.read_bytes()
    done = tool('publish_model.py', source, source)
    assert 'in.pth exists: move it away or choose' in done.code
    assert source.read_bytes() == before


def test_publishing_on_a_full_disk_leaves_nothing(tool, tmp_path):
    source = from_mmdet(tmp_path)
    torch.save(dict(torch.load(source), state_dict=dict(a=torch.ones(LIMIT))),
               source)
    with full_disk(), pytest.raises((OSError, RuntimeError)):
        tool('publish_model.py', source, tmp_path / 'out.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['in.pth']


def test_publishing_does_not_run_the_config(tool, tmp_path):
    trace = tmp_path / 'trace'
    code = f"import os\nos.mkdir({str(trace)!r})\ndefault_scope = 'nowhere'\n"
    source = from_mmdet(tmp_path, code)
    done = tool('publish_model.py', source, tmp_path / 'out.pth')
    assert "'nowhere' of" in done.code and 'is not installed' in done.code
    assert not trace.exists()
    exec(code)  # as a config it is run
    assert trace.exists()


def test_safe_loading_is_for_the_tool_alone(tool, tmp_path):
    before = dict(os.environ)
    tool('publish_model.py', from_mmdet(tmp_path), tmp_path / 'out.pth')
    assert dict(os.environ) == before
