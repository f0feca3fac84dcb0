"""Seeing the activations of a model run: which, from where, on what.

A model runs under an :class:`Observer`. Each registered activation is, for
that time, an object of its own under each of its names, so that a call tells
the name that it came by; a ``TorchFunctionMode`` sees what is called as a
function. The frame of a call tells the module and the place in its code.
"""
import collections
import contextlib
import copy
import sys
import types
from collections.abc import Callable, Iterator

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from acon_mm.override.calls import Calls, Place
from acon_mm.override.channels import channels_of_layer, find_channel_dim
from acon_mm.override.kinds import (
    function_name,
    is_unmatched,
    start_of,
    start_of_function,
    stock_function,
    stock_module,
)
from acon_mm.override.registered import PLACED, activations
from acon_mm.override.source import method_with
from acon_mm.probe.sizes import refuse_large
from acon_mm.probe.state import Written, parameters_of

# code between a call and what it calls
BETWEEN = ('torch.nn.modules.module', 'torch.overrides',
           'torch.nn.functional', 'torch._jit_internal')
LAYERS = (F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d,
          F.conv_transpose2d, F.conv_transpose3d, F.linear)
# operators of activations, whoever calls them
OPERATORS = ('relu', 'leaky_relu', 'silu', 'gelu', 'hardtanh', 'hardswish',
             'mish')
# of a number: what a hard sigmoid does before it bounds
SHIFTS = ('add', 'add_')
# of positive numbers alone
ROOTS = ('sqrt', 'rsqrt', 'log', 'log2', 'log10', 'log1p', 'acos', 'asin',
         'pow')
# that ask whether numbers may be theirs: distributions and asserts do
DEMANDS = ('multinomial', 'poisson', 'bernoulli', 'binary_cross_entropy',
           'all', '_is_all_true')
# how many layers an input's channels are looked for
RECENT = 6


class Observer(TorchFunctionMode):
    """Notes the activations of ``model`` that run while it is entered.

    Args:
        model (nn.Module): The model, or a part of it.

    Attributes:
        calls (dict): :class:`Calls` by what was called from where.
        hidden (list[str]): Operators that ran in code which Python does not
            see, such as a scripted module's.
        has_roots (bool): Whether a function ran that wants positive numbers.
        has_infinite (bool): Whether an activation got what is not finite.
        demands (bool): Whether one ran that may refuse numbers.
        written (Written): Parameters that a run writes to.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.ids = {id(module) for module in model.modules()}
        self.calls: dict[tuple, Calls] = {}
        self.hidden: list[str] = []
        self.runs = 0
        self._inside = False
        self._recent: collections.deque[tuple[Tensor, int]] = (
            collections.deque(maxlen=RECENT))
        self._weights = {
            id(p): module for module in model.modules()
            for p in parameters_of(module, recurse=False)}
        self._order: dict[int, nn.Module] = {}
        self._shifted: Tensor | None = None
        self._batches: list[int] = []
        self.has_roots = self.has_infinite = self.demands = False
        self.written = Written(model)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = None if self._inside else function_name(func, args, kwargs)
        self.written.note(func, args, kwargs)
        if name is None:
            out = func(*args, **kwargs)
            self._note_layer(func, args, out)
            self._note_arithmetic(getattr(func, '__name__', ''), args, out)
            return out
        value = args[0] if args else kwargs.get('input')
        frame = _outside(sys._getframe(1))
        act = _self_of(frame)
        if id(act) in self.ids and is_unmatched(act):
            return self._within(lambda: func(*args, **kwargs))
        if start_of(act) is not None or is_unmatched(act):
            # a module that is registered nowhere
            frame, name = _outside(frame.f_back), type(act).__name__
            start, stock = start_of(act), stock_module(act)
        else:
            act, start = None, start_of_function(name, args, kwargs)
            stock = stock_function(name, args, kwargs)
        inplace = bool(kwargs.get('inplace', getattr(act, 'inplace', False))
                       or func.__name__.endswith('_')
                       or any(a is True for a in args[1:]))
        return self._note(
            Calls(self._place(frame), None, name, start, stock, act,
                  inplace=inplace),
            value, lambda: func(*args, **kwargs))

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """One pass of the model, of which everything is noted."""
        for calls in self.calls.values():
            calls.inputs.append([])
        self.runs += 1
        self._order.clear()
        try:
            with self._recording(), contextlib.ExitStack() as stack:
                if self.runs == 1:
                    stack.enter_context(_Operators(self))
                stack.enter_context(self)
                yield
        finally:
            for calls in self.calls.values():
                # of what works in place, its output is changed with it
                calls.overwritten |= not calls.inplace and any(
                    tensor._version != version
                    for tensor, version in calls.tensors)
                calls.tensors.clear()
                calls.batch_varies = len(set(self._batches)) > 1
            self._recent.clear()
            self._shifted = None
            self.written.give_back()

    @contextlib.contextmanager
    def _recording(self) -> Iterator[None]:
        """Give each name of an activation an object that notes its calls."""
        saved, recorded = [], []
        for _, owner, name, act in list(activations(self.model)):
            if id(owner) not in self.ids:  # the run before has made it
                continue
            saved.append((owner, name, act))
            # one with a forward of its own is bound to the object
            twin = act if isinstance(act, PLACED) or (
                'forward' in vars(act)) else copy.copy(act)
            recorded.append((twin, vars(twin).get('forward')))
            vars(twin)['forward'] = self._recorder(
                owner, name, act, twin.forward)
            owner._modules[name] = twin
        try:
            yield
        finally:
            for owner, name, act in saved:
                owner._modules[name] = act
            for twin, forward in reversed(recorded):
                vars(twin).pop('forward')
                if forward is not None:
                    vars(twin)['forward'] = forward

    def _recorder(self, owner: nn.Module, name: str, act: nn.Module,
                  forward: Callable) -> Callable:

        def record(*args, **kwargs):
            if self._inside:
                return forward(*args, **kwargs)
            value = args[0] if args else next(iter(kwargs.values()), None)
            calls = Calls(
                self._place(_outside(sys._getframe(1))), owner, name,
                start_of(act), stock_module(act), act,
                inplace=getattr(act, 'inplace', False) is True,
                by_keyword=bool(kwargs),
                gates=isinstance(act, nn.ReLU6) and value is self._shifted)
            return self._note(calls, value,
                              lambda: forward(*args, **kwargs))

        return record

    def _note(self, calls: Calls, value: Tensor, run: Callable):
        dim = None
        if isinstance(value, Tensor) and value.is_floating_point():
            key = id(calls.owner), calls.name, calls.place.key
            calls = self.calls.setdefault(key, calls)
            while len(calls.inputs) < self.runs:
                calls.inputs.append([])
            dim = find_channel_dim(value, self._recent)
            # a nested one has no shape
            dense = value.to_padded_tensor(0.) if value.is_nested else value
            calls.inputs[-1].append((dense.shape, dim))
            calls.layers = list(reversed(self._order.values()))
            with contextlib.suppress(RuntimeError), (  # of vmap, or meta
                    torch._C.DisableTorchFunction()):
                self.has_infinite |= not dense.isfinite().all()
        out = self._within(run)
        if isinstance(value, Tensor) and not value.is_inference():
            calls.tensors.append((value, value._version))
        return out

    def note_operator(self, name: str) -> None:
        """Keep one of the first run that no function or module explains."""
        if not self._inside and name.rstrip('_') in OPERATORS:
            self.hidden.append(name)

    def _within(self, run: Callable):
        self._inside = True
        try:
            return run()
        finally:
            self._inside = False

    def _note_arithmetic(self, name: str, args: tuple, out) -> None:
        if name in SHIFTS and any(
                isinstance(arg, (int, float)) for arg in args):
            self._shifted = out
        self.demands |= name in DEMANDS
        name = name.strip('_')
        self.has_roots |= name in ROOTS and (name != 'pow' or any(
            isinstance(arg, float) and arg % 1 for arg in args))

    def _note_layer(self, func: Callable, args: tuple, out) -> None:
        dim = channels_of_layer(func, args, out)
        if dim is not None:
            self._recent.append((out, dim))
            if len(self._batches) < self.runs and args and args[0].dim():
                self._batches.append(args[0].size(0))
        module = self._weights.get(id(args[1])) if (
            func in LAYERS and len(args) > 1) else None
        if module is not None:
            self._order.pop(id(module), None)
            self._order[id(module)] = module

    def _place(self, frame: types.FrameType) -> Place:
        place = types.TracebackType(
            None, frame, frame.f_lasti, frame.f_lineno)
        code, around = frame.f_code, frame
        while around is not None and around.f_globals.get(
                '__name__') not in BETWEEN:
            for value in _first_values(around):
                if id(value) in self.ids:
                    method = method_with(type(value), code)
                    if method is not None:
                        return Place(value, method, place)
            around = around.f_back
        return Place(None, None, place)


class _Operators(TorchDispatchMode):

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # PyTorch's True imports the compiler, a second, at the first operator
        return False

    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self.observer = observer

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.partition('::')[2]
        refuse_large(name, args)
        self.observer.note_operator(name)
        return func(*args, **(kwargs or {}))


def _outside(frame: types.FrameType) -> types.FrameType:
    """The first frame that is the model's own."""
    while frame.f_globals.get('__name__') in BETWEEN:
        frame = frame.f_back
    return frame


def _self_of(frame: types.FrameType):
    """First argument of a method's frame."""
    code = frame.f_code
    return frame.f_locals.get(
        code.co_varnames[0]) if code.co_argcount else None


def _first_values(frame: types.FrameType) -> list:
    """What may be ``self``: the first argument, or a closure's."""
    code = frame.f_code
    names = [*code.co_varnames[:code.co_argcount][:1], *code.co_freevars]
    return [frame.f_locals.get(name) for name in names]
