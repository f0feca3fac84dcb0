"""Compilers, exporters and folding see the activations as plain formulas."""
import io

import onnxruntime
import pytest
import torch
from export_cases import HEADS, TensorOutputs, backbone, seasoned
from mmengine.registry import MODELS

from acon_mm import AconA, AconB, AconC, MetaAconC
from acon_mm.backbones import TFNet
from acon_mm.frelu import AconFReLU, FReLU
from acon_mm.functional.torch_versions import VERSION

OPSET = 17
ACTS = {
    'AconA': lambda: AconA(8),
    'AconB': lambda: AconB(8, init='paper'),
    'AconC': lambda: AconC(8, init='paper'),
    'MetaAconC': lambda: MetaAconC(8, init='paper'),
    'MetaAconC-layer': lambda: MetaAconC(8, level='layer', init='paper'),
    'MetaAconC-pixel': lambda: MetaAconC(8, level='pixel', init='paper'),
    'FReLU': lambda: FReLU(8),
    'AconFReLU': lambda: AconFReLU(8, stride=2),
}
old = pytest.mark.skipif(
    VERSION < (2, 4), reason='PyTorch before 2.4 cannot compile or export it')


@pytest.fixture(params=ACTS)
def act(request):
    return seasoned(ACTS[request.param]())


def gradients(run, module, x):
    x = x.clone().requires_grad_()
    outs = run(x)
    outs = outs if isinstance(outs, tuple) else (outs, )
    return [*outs, *torch.autograd.grad(
        sum(out.square().sum() for out in outs), [x, *module.parameters()])]


def check_one_graph(module, images):
    """One graph serves images of several sizes, and gives what the module
    gives."""
    torch._dynamo.reset()
    # a sum of many numbers that cancel tells little in float32
    module, images = module.double(), [image.double() for image in images]
    compiled = torch.compile(module, fullgraph=True, dynamic=True,
                             backend='aot_eager')
    with torch._dynamo.config.patch(error_on_recompile=True):
        for image in images:
            for ours, right in zip(gradients(compiled, module, image),
                                   gradients(module, module, image),
                                   strict=True):
                torch.testing.assert_close(ours, right)


@old
def test_an_activation_is_one_graph_for_every_batch(act):
    check_one_graph(act, [torch.randn(n, 8, 6, 6) for n in (2, 3, 5)])


@old
@pytest.mark.parametrize('placement', [
    pytest.param('paper', marks=pytest.mark.slow), 'all'])
def test_a_swapped_backbone_is_one_graph(placement):
    model = backbone(placement, stages=1)
    check_one_graph(model, [torch.randn(n, 3, 32, 32) for n in (2, 3)])


@old
@pytest.mark.parametrize('kind', ['activation', 'backbone'])
def test_export_with_sizes_that_change(kind, act):
    module, channels = act, 8
    if kind == 'backbone':
        if type(act) is not AconC:
            return
        module, channels = backbone(), 3
    size = torch.export.Dim('size', min=2, max=64)
    exported = torch.export.export(
        module, (torch.randn(2, channels, 32, 32), ), dynamic_shapes=(
            {0: torch.export.Dim('batch', min=1, max=64), 2: 8 * size,
             3: 8 * torch.export.Dim('width', min=2, max=64)}, ))
    image = torch.randn(5, channels, 48, 24)
    torch.testing.assert_close(exported.module()(image), module(image))


def test_a_trace_serves_other_images(act):
    traced = torch.jit.trace(act, torch.randn(2, 8, 6, 6))
    image = torch.randn(5, 8, 7, 4)
    torch.testing.assert_close(traced(image), act(image))


def test_a_trace_of_a_swapped_backbone():
    model = backbone('all')
    traced = torch.jit.trace(model, torch.randn(2, 3, 32, 32))
    image = torch.randn(1, 3, 64, 48)
    torch.testing.assert_close(traced(image), model(image))


def in_onnxruntime(module, image, others, dynamic):
    """Outputs of an exported module for ``others``, arrays."""
    file = io.BytesIO()
    legacy = dict(dynamo=False) if VERSION >= (2, 5) else {}
    torch.onnx.export(
        module, (image, ), file, opset_version=OPSET, input_names=['x'],
        dynamic_axes={'x': {dim: f'x{dim}' for dim in dynamic}}, **legacy)
    session = onnxruntime.InferenceSession(
        file.getvalue(), providers=['CPUExecutionProvider'])
    return [session.run(None, {'x': other.numpy()}) for other in others]


def check_onnx(module, image, others, dynamic=(0, 2, 3)):
    with torch.no_grad():
        found = in_onnxruntime(module, image, others, dynamic)
        for other, outs in zip(others, found, strict=True):
            right = module(other)
            right = right if isinstance(right, tuple) else (right, )
            for ours, theirs in zip(outs, right, strict=True):
                torch.testing.assert_close(
                    torch.from_numpy(ours), theirs, rtol=1e-4, atol=1e-4)


def test_onnx_of_an_activation(act):
    check_onnx(act, torch.randn(2, 8, 6, 6),
               [torch.randn(2, 8, 6, 6), torch.randn(3, 8, 9, 4)])


@pytest.mark.parametrize('network', ['ResNet', 'TFNet'])
def test_onnx_of_a_backbone(network):
    model = backbone('all') if network == 'ResNet' else seasoned(
        TFNet(widen_factor=.5, out_indices=(0, )))
    check_onnx(model, torch.randn(1, 3, 32, 32), [torch.randn(2, 3, 64, 48)])


@pytest.mark.parametrize('package', HEADS)
def test_onnx_of_a_detector_and_a_segmentor(package, scope):
    scope(package)
    model = TensorOutputs(seasoned(MODELS.build(HEADS[package]))).eval()
    # adaptive pooling is exported where all sizes are known
    many = package == 'mmdet'
    check_onnx(model, torch.randn(1, 3, 64, 64),
               [torch.randn(1 + many, 3, 64, 64)], dynamic=(0, ) * many)
