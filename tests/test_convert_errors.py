"""What the converter refuses, and that nothing is written then."""
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from parity_cases import fill_checkpoint, load_case

from acon_mm.checkpoints import convert, load_released, save_converted


@pytest.fixture
def checkpoint():
    return fill_checkpoint(
        load_case('shufflenetv2_0.5x_acon')['checkpoint'], torch.float32)


@pytest.mark.parametrize('key', [
    'first_conv.0.bias', 'features.5.branch_main.2.beta',
    'features.15.branch_main.7.p1', 'classifier.0.bias',
    'conv_last.1.running_var', 'features.0.branch_main.0.weight'
])
def test_a_missing_tensor_is_named(checkpoint, key):
    del checkpoint[key]
    with pytest.raises(ValueError, match=key.replace('.', r'\.')):
        convert(checkpoint)


def test_an_extra_tensor_is_named(checkpoint):
    checkpoint['features.16.branch_main.0.weight'] = torch.zeros(1)
    with pytest.raises(ValueError, match='should not have 1 .*features.16'):
        convert(checkpoint)


def test_a_wrong_shape_is_named(checkpoint):
    checkpoint['conv_last.2.p1'] = torch.zeros(1, 7, 1, 1)
    with pytest.raises(ValueError, match=r'conv_last.2.p1.*\(1, 7, 1, 1\)'):
        convert(checkpoint)


def test_a_size_that_does_not_exist_is_refused():
    shapes = load_case('tfnet_0.5')['checkpoint']
    shapes['first_conv.0.weight'][0] = 9
    with pytest.raises(ValueError, match='9 output channels.*TFNet'):
        convert(fill_checkpoint(shapes))


def test_a_resnet_cut_short_is_refused():
    tensors = fill_checkpoint(load_case('resnet50_acon')['checkpoint'])
    rest = ('layer3.3', 'layer3.4', 'layer3.5', 'layer4', 'fc')
    half = {k: v for k, v in tensors.items() if not k.startswith(rest)}
    with pytest.raises(ValueError, match='3-4-3-0 blocks'):
        convert(half)


@pytest.mark.parametrize(('foreign', 'message'), [
    ({'conv1.weight': torch.zeros(64, 3, 7, 7)}, 'conv1.weight'),
    ({}, 'none of the released'),
    ([1, 2], 'list is no checkpoint'),
    (torch.zeros(3), 'Tensor is no checkpoint'),
    ({'epoch': 3}, "'epoch'.*int"),
    ({'state_dict': {}}, 'none of the released'),
])
def test_foreign_content_is_refused(foreign, message):
    with pytest.raises(ValueError, match=message):
        convert(foreign)


def test_a_head_is_kept_only_if_there_is_one(checkpoint):
    kept = convert(checkpoint, keep_head=True)
    assert kept.head == 'kept'
    assert kept.data_preprocessor['to_rgb'] is False
    assert 'bgr_to_rgb' not in kept.data_preprocessor
    assert torch.equal(kept.state_dict['head.fc.weight'],
                       checkpoint['classifier.0.weight'])
    assert all(
        key.startswith(('backbone.', 'head.fc.')) for key in kept.state_dict)
    for leaf in ('weight', 'bias'):
        del checkpoint[f'classifier.0.{leaf}']
    assert convert(checkpoint).head == 'absent'
    with pytest.raises(ValueError, match='classifier'):
        convert(checkpoint, keep_head=True)


def test_tool_writes_what_init_cfg_loads(checkpoint, tmp_path, tool):
    source, target = tmp_path / 'released.pth', tmp_path / 'converted.pth'
    torch.save(dict(state_dict=checkpoint), source)
    done = tool('convert_checkpoint.py', source, target)
    assert not done.code
    assert 'shufflenetv2_0.5x_acon' in done.out
    printed = done.out[re.search(r'^model ?=', done.out, re.M).start():]
    model = Config.fromstring(printed, '.py').model
    assert model.data_preprocessor.bgr_to_rgb is False
    with DefaultScope.overwrite_default_scope('mmdet'):
        net = MODELS.build(model.backbone)
    net.init_weights()
    for key, value in convert(checkpoint).state_dict.items():
        assert torch.equal(net.state_dict()[key], value)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'converted.pth', 'released.pth'
    ]


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'PK\x03\x04'])
def test_files_that_are_no_checkpoints_are_refused(content, tmp_path):
    path = tmp_path / 'released.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='released.pth cannot be read'):
        load_released(path)


def test_an_existing_target_is_not_overwritten(checkpoint, tmp_path):
    target = tmp_path / 'mine.pth'
    target.write_text('mine')
    with pytest.raises(FileExistsError, match='choose another name'):
        save_converted(convert(checkpoint), target)
    assert target.read_text() == 'mine'


class Surprise:

    def __reduce__(self):
        return print, ('code from a checkpoint ran', )


def test_files_cannot_run_code(tmp_path, capsys):
    path = tmp_path / 'evil.pth'
    torch.save(dict(state_dict=Surprise()), path)
    with pytest.raises(ValueError, match='evil.pth cannot be read'):
        load_released(path)
    assert 'ran' not in capsys.readouterr().out


def test_a_failed_write_leaves_nothing(checkpoint, tmp_path, monkeypatch):

    def write_half(content, path):
        path.write_bytes(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(torch, 'save', write_half)
    with pytest.raises(OSError, match='disk full'):
        save_converted(convert(checkpoint), tmp_path / 'converted.pth')
    assert not list(tmp_path.iterdir())
