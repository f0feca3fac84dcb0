"""Released checkpoints compute after conversion what they did before."""
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from parity_cases import CASES, fill_checkpoint, image, load_case
from released_networks import ResNet, shufflenet, tfnet

from acon_mm.checkpoints import convert

LAYOUTS = {
    'resnet50_acon': lambda: ResNet((3, 4, 6, 3), False),
    'resnet50_metaacon': lambda: ResNet((3, 4, 6, 3), True),
    'shufflenetv2_0.5x_acon': lambda: shufflenet((48, 96, 192, 1024), 8,
                                                 False),
    'shufflenetv2_0.5x_metaacon': lambda: shufflenet(
        (48, 96, 192, 1024), 8, True),
    'shufflenetv2_1.5x_acon': lambda: shufflenet((176, 352, 704, 1024), 16,
                                                 False),
    'tfnet_0.5': lambda: tfnet(8),
}
OTHER_SIZES = {
    'resnet101_acon': lambda: ResNet((3, 4, 23, 3), False),
    'resnet152_metaacon': lambda: ResNet((3, 8, 36, 3), True),
    'shufflenetv2_1.0x_acon': lambda: shufflenet((116, 232, 464, 1024), 16,
                                                 False),
    'shufflenetv2_1.0x_metaacon': lambda: shufflenet(
        (116, 232, 464, 1024), 16, True),
    'shufflenetv2_1.5x_metaacon': lambda: shufflenet(
        (176, 352, 704, 1024), 16, True),
    'shufflenetv2_2.0x_acon': lambda: shufflenet((244, 488, 976, 2048), 16,
                                                 False),
    'shufflenetv2_2.0x_metaacon': lambda: shufflenet(
        (244, 488, 976, 2048), 16, True),
    'tfnet_1.0': lambda: tfnet(16),
    'tfnet_1.5': lambda: tfnet(24),
    'tfnet_2.0': lambda: tfnet(32),
}


def build(backbone):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(backbone)


def run(conversion, x):
    net = build(conversion.backbone).to(x.dtype)
    net.load_state_dict(conversion.state_dict, strict=True)
    net.eval()
    with torch.no_grad():
        return net(x)


def shapes_of(net):
    return {name: list(t.shape) for name, t in net.state_dict().items()}


@pytest.mark.parametrize('name', CASES)
def test_features_are_the_authors(name):
    case = load_case(name)
    conversion = convert(fill_checkpoint(case['checkpoint']))
    assert conversion.name == name
    batch, _, height, width = case['input']
    outs = run(conversion, image(batch, height, width))
    assert len(outs) == len(case['stages'])
    for out, stage in zip(outs, case['stages'].values(), strict=True):
        assert list(out.shape) == stage['shape']
        assert abs(out.mean() - stage['mean']) / stage['std'] < 1e-6
        assert abs(out.std() - stage['std']) / stage['std'] < 1e-6
        flat = out.flatten()
        for index, value in stage['probes'].items():
            assert abs(flat[int(index)] - value) / stage['std'] < 1e-6


@pytest.mark.parametrize('name', CASES)
def test_parameters_are_the_authors_less_the_folded_biases(name):
    case = load_case(name)
    conversion = convert(fill_checkpoint(case['checkpoint']))
    folded = sum(
        shape[0] for key, shape in case['checkpoint'].items()
        if key.endswith('.bias') and f'{key[:-4]}weight' in case['checkpoint']
        and len(case['checkpoint'][f'{key[:-4]}weight']) == 4
        and '.fc1.' not in key and '.fc2.' not in key)
    head = sum(
        v.numel() for k, v in fill_checkpoint(case['checkpoint']).items()
        if k.startswith(('fc.', 'classifier.')))
    net = build(conversion.backbone)
    counted = sum(p.numel() for p in net.parameters())
    assert counted == case['params'] - folded - head


@pytest.mark.parametrize('name', LAYOUTS)
def test_reference_has_the_authors_layout(name):
    with torch.device('meta'):
        net = LAYOUTS[name]()
    assert shapes_of(net) == load_case(name)['checkpoint']
    assert sum(p.numel() for p in net.parameters()) == load_case(
        name)['params']


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=[pytest.mark.slow] * ('152' in name))
    for name in OTHER_SIZES])
def test_other_sizes_agree_with_the_reference(name):
    reference = OTHER_SIZES[name]().double().eval()
    checkpoint = fill_checkpoint(shapes_of(reference))
    reference.load_state_dict(checkpoint)
    conversion = convert(checkpoint)
    assert conversion.name == name
    x = image(1, 64, 64)
    with torch.no_grad():
        expected = reference(x)
    for out, want in zip(run(conversion, x), expected, strict=True):
        assert (out - want).abs().max() / want.std() < 1e-6


@pytest.mark.parametrize('dtype',
                         [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_and_the_input_are_kept(dtype):
    shapes = load_case('tfnet_0.5')['checkpoint']
    checkpoint = fill_checkpoint(shapes, dtype)
    before = {k: v.clone() for k, v in checkpoint.items()}
    for key, value in convert(checkpoint).state_dict.items():
        counter = key.endswith('num_batches_tracked')
        assert value.dtype == (torch.int64 if counter else dtype)
    assert checkpoint.keys() == before.keys()
    assert all(torch.equal(v, before[k]) for k, v in checkpoint.items())


def test_wrapped_checkpoints_are_unwrapped():
    checkpoint = fill_checkpoint(load_case('tfnet_0.5')['checkpoint'])
    wrapped = dict(
        state_dict={f'module.{k}': v for k, v in checkpoint.items()}, epoch=3)
    plain, again = convert(checkpoint), convert(wrapped)
    assert plain.state_dict.keys() == again.state_dict.keys()


def test_slopes_are_flat_and_the_data_stays_bgr():
    checkpoint = fill_checkpoint(load_case('resnet50_acon')['checkpoint'])
    conversion = convert(checkpoint)
    p1 = conversion.state_dict['layer1.0.act2.p1']
    assert torch.equal(p1, checkpoint['layer1.0.acon.p1'].flatten())
    assert conversion.backbone['style'] == 'caffe'
    with DefaultScope.overwrite_default_scope('mmdet'):
        preprocessor = MODELS.build(
            dict(type='DetDataPreprocessor', **conversion.data_preprocessor))
    raw = torch.randint(0, 256, (3, 4, 4), dtype=torch.uint8)
    out = preprocessor(dict(inputs=[raw], data_samples=None))['inputs'][0]
    assert torch.equal(out, raw.float())
