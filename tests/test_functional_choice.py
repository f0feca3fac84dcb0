"""Which implementation runs, and what capturing a graph sees."""
import pytest
import torch
from functional_cases import calls_of

from acon_mm import functional
from acon_mm.functional.cpu import op as native
from acon_mm.functional.dispatch import IMPLEMENTATIONS


@pytest.fixture(autouse=True)
def auto():
    """Every test starts and leaves with the automatic choice."""
    functional.set_implementation('auto')
    yield
    functional.set_implementation('auto')


class Layer(torch.nn.Module):
    """A module that calls the op as the activations do."""

    def __init__(self):
        super().__init__()
        self.p1 = torch.nn.Parameter(torch.randn(3))
        self.beta = torch.nn.Parameter(torch.randn(3))

    def forward(self, x):
        beta = functional.channel_mean(x) * self.beta
        return functional.acon(x, self.p1, .5, beta, channel_dim=1)


@pytest.mark.parametrize('name', ['reference', 'blocked', 'native'])
def test_chosen_implementation_runs(name, monkeypatch):
    calls = calls_of(monkeypatch, IMPLEMENTATIONS[name])
    functional.set_implementation(name)
    assert functional.get_implementation() == name
    functional.acon(torch.randn(2, 3, 4, 4), 1., 0., 1.)
    assert len(calls) == 1


@pytest.mark.parametrize('dtype, name', [
    (torch.float32, 'native'),
    (torch.bfloat16, 'native'),
    (torch.float16, 'blocked'),
    (torch.float64, 'blocked'),
])
def test_auto_takes_the_fastest_that_can(dtype, name, monkeypatch):
    calls = calls_of(monkeypatch, IMPLEMENTATIONS[name])
    functional.acon(torch.randn(2, 3, 4, 4, dtype=dtype), 1., 0., 1.)
    assert len(calls) == 1


def test_unknown_implementation():
    with pytest.raises(ValueError, match="'cuda' is unknown.*native"):
        functional.set_implementation('cuda')
    assert functional.get_implementation() == 'auto'


def test_forced_implementation_says_why_it_cannot_run():
    functional.set_implementation('native')
    with pytest.raises(RuntimeError, match='native.*float64.*auto'):
        functional.acon(torch.randn(2, 3, dtype=torch.float64), 1., 0., 1.)


def test_tracing_sees_the_formula():
    layer, x = Layer(), torch.randn(2, 3, 4, 4)
    traced = torch.jit.trace(layer, x)
    assert 'PythonOp' not in str(traced.graph)
    assert 'aten::sigmoid' in str(traced.inlined_graph)
    other = torch.randn(5, 3, 7, 6)
    torch.testing.assert_close(traced(other), layer(other))


def test_scripting_sees_the_formula():
    layer, x = Layer(), torch.randn(2, 3, 4, 4)
    scripted = torch.jit.script(layer)
    assert 'aten::sigmoid' in str(scripted.inlined_graph)
    torch.testing.assert_close(scripted(x), layer(x))


def test_export_sees_the_formula():
    layer, x = Layer(), torch.randn(2, 3, 4, 4)
    exported = torch.export.export(layer, (x, ))
    assert torch.ops.aten.sigmoid.default in {
        node.target for node in exported.graph.nodes}
    torch.testing.assert_close(exported.module()(x), layer(x))


def test_compiles_without_graph_breaks():
    layer, x = Layer(), torch.randn(2, 3, 4, 4, requires_grad=True)
    compiled = torch.compile(layer, fullgraph=True, backend='aot_eager')
    compiled(x).square().sum().backward()
    gradient, x.grad = x.grad, None
    layer(x).square().sum().backward()
    torch.testing.assert_close(x.grad, gradient)


def test_not_a_floating_point_tensor():
    with pytest.raises(TypeError, match='int64.*floating-point'):
        functional.acon(torch.ones(2, 3, dtype=torch.int64), 1., 0., 1.)


@pytest.mark.parametrize('name', ['reference', 'blocked', 'native'])
@pytest.mark.parametrize('p1, beta, shape', [
    (torch.ones(4), 1., '[4]'),
    (torch.ones(2, 3), 1., '[2, 3]'),
    (1., torch.ones(4), '[4]'),
    (1., torch.ones(4, 3), '[4, 3]'),
    (1., torch.ones(2, 3, 4), '[2, 3, 4]'),
])
def test_parameter_that_does_not_fit(name, p1, beta, shape):
    functional.set_implementation(name)
    with pytest.raises(ValueError) as error:
        functional.acon(torch.ones(2, 3, 5, 5), p1, 0., beta)
    assert f'shape {shape}' in str(error.value)
    assert 'give a float, (3,)' in str(error.value)


def test_native_is_built_on_this_machine():
    assert native.unavailable() is None
