"""What a model keeps beside its parameters: seen, compared and given back."""
import collections
import contextlib
import enum
import itertools
import logging
import operator
import random
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

# by the class whose methods change them: a subclass may have its own
COLLECTIONS = (collections.OrderedDict, dict, list, set, collections.deque)
# what most attributes are, to tell quickly
ATOMS = {type(None), bool, int, float, str, nn.Parameter}
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState,
              random.Random)
# objects that hold none of a model's state
OPAQUE = (type, types.FunctionType, types.BuiltinFunctionType,
          types.MethodType, types.ModuleType, nn.Module, nn.Parameter,
          logging.Logger, enum.Enum, int, float, str, bytes)
# functions that write to what they keep, and its names
KEEPING = (F.batch_norm, F.instance_norm)
STATISTICS = ('running_mean', 'running_var')
# objects in objects that are looked into: a meter in a tracker
DEPTH = 2


class Held(NamedTuple):
    """What the attributes of modules lead to, each thing once.

    Attributes:
        tensors (list[Tensor]): In the order in which they are found.
        arrays (list[np.ndarray]): As well.
        collections (list): But for empty ones that are an attribute; and
            objects' attributes.
        generators (list): Of random numbers, of any kind.
    """
    tensors: list[Tensor]
    arrays: list[np.ndarray]
    collections: list[Any]
    generators: list[Any]


def held_by(modules: Iterable[nn.Module]) -> Held:
    """Look into the attributes of ``modules``."""
    held = Held([], [], [], [])
    seen: set[int] = set()
    # the many empty ones, of hooks, get no copies: so many objects would set
    # off the garbage collector
    waiting = [(value, DEPTH) for module in modules
               for value in vars(module).values()
               if not (type(value) in COLLECTIONS and not value
                       or _is_plain(value))]
    for value, depth in waiting:  # it grows
        if id(value) in seen:
            continue
        seen.add(id(value))
        inside: Iterable[Any] = ()
        if isinstance(value, Tensor):
            held.tensors.append(value)
        elif isinstance(value, np.ndarray):
            held.arrays.append(value)
        elif isinstance(value, GENERATORS):
            held.generators.append(value)
        elif isinstance(value, (*COLLECTIONS, tuple)):
            if not isinstance(value, tuple):
                held.collections.append(value)
            inside = value.values() if isinstance(value, dict) else value
        elif depth and isinstance(
                attributes := getattr(value, '__dict__', None), dict):
            held.collections.append(attributes)
            inside, depth = attributes.values(), depth - 1
        waiting += [(item, depth) for item in inside if not _is_plain(item)]
    return held


def _is_plain(value: Any) -> bool:
    """Whether there can be nothing in it."""
    return type(value) in ATOMS or isinstance(value, OPAQUE)


def numbers_in(modules: Iterable[nn.Module]) -> list[Tensor]:
    """Copies of the tensors and arrays that ``modules`` keep."""
    held = held_by(modules)
    return [tensor.detach().clone() for tensor in held.tensors
            if tensor.layout is torch.strided and not tensor.is_nested] + [
                torch.from_numpy(array.copy()) for array in held.arrays
                if array.dtype.kind in 'biufc']


def parameters_of(module: nn.Module,
                  recurse: bool = True) -> Iterator[nn.Parameter]:
    """Its parameters, whatever a ``parameters()`` of its own gives."""
    return nn.Module.parameters(module, recurse)


@contextlib.contextmanager
def undisturbed(model: nn.Module,
                written: Iterable[Tensor] = ()) -> Iterator[None]:
    """Give back what a run may change: tensors, generators, attributes.

    Some models keep results (SAN those of its text encoder), count steps or
    take in modules of others as they run (DDQ). Of the parameters only those
    ``written`` to are copied (WGAN clips its own).
    """
    scripted = [(module, module.training) for module in model.modules()
                if isinstance(module, torch.jit.ScriptModule)]
    held = held_by(model.modules())
    # those of a scripted module are no attributes
    tensors = {id(tensor): tensor for tensor in (
        *held.tensors, *model.buffers(), *written)}
    before = [remembered(tensor) for tensor in tensors.values()
              if _is_writable(tensor)]
    arrays = [(array, array.copy()) for array in held.arrays
              if array.flags.writeable]
    attributes = [vars(module) for module in model.modules()]
    copies = [(value, _copy(value))
              for value in (*attributes, *held.collections)]
    states = [(generator, _state(generator)) for generator in held.generators]
    numbers = random.getstate(), np.random.get_state()
    devices = (range(torch.cuda.device_count())
               if torch.cuda.is_initialized() else [])
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(numbers[0])
        np.random.set_state(numbers[1])
        full = {id(value) for value, _ in copies}
        for value, items in copies:
            _fill(value, items)
        for value in itertools.chain.from_iterable(
                one.values() for one in attributes):
            if type(value) in COLLECTIONS and value and id(value) not in full:
                _fill(value, [])
        for array, values in arrays:
            array[...] = values
        for generator, state in states:
            _set_state(generator, state)
        for module, training in scripted:
            module.training = training
        give_back(before)


def remembered(tensor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A tensor, its memory and a copy of that."""
    return tensor, tensor.data, tensor.detach().clone()


def give_back(tensors: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Undo what was written since they were :func:`remembered`."""
    with torch.no_grad():
        for tensor, memory, value in tensors:
            tensor.data = memory
            tensor.copy_(value)


class Written:
    """Parameters that functions write to, as they were before.

    Args:
        model (nn.Module): Whose parameters.
    """

    def __init__(self, model: nn.Module) -> None:
        self._before: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self._by_memory: dict[int, list[Tensor]] = {}
        for parameter in parameters_of(model):
            self._by_memory.setdefault(
                _memory(parameter), []).append(parameter)

    @property
    def tensors(self) -> list[Tensor]:
        """The parameters."""
        return [tensor for tensor, _, _ in self._before.values()]

    def note(self, func: Callable, args: tuple, kwargs: dict) -> None:
        """Before a function runs that may write, to a ``data`` as well."""
        name = getattr(func, '__name__', '')
        values = (args[0] if args else None, kwargs.get('out'))
        if func in KEEPING:
            values = (*args[1:3], *map(kwargs.get, STATISTICS))
        elif not (args and name.endswith('_') or 'out' in kwargs) or (
                name == '__get__' and func.__self__ is not Tensor.data):
            return
        for value in values:
            # the foreach functions have a list
            for tensor in (value if isinstance(value, (list, tuple))
                           else [value]):
                if isinstance(tensor, Tensor):
                    for one in self._by_memory.get(_memory(tensor), ()):
                        self._before.setdefault(id(one), remembered(one))

    def give_back(self) -> None:
        """Undo what was written."""
        give_back(self._before.values())


class Noting(TorchFunctionMode):
    """Lets ``written`` note what runs while this is entered."""

    def __init__(self, written: Written) -> None:
        super().__init__()
        self.written = written

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.written.note(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))


def _memory(tensor: Tensor) -> int:
    """Where its numbers lie; itself where there are none."""
    with contextlib.suppress(RuntimeError):  # of vmap, or without memory
        if tensor.layout is torch.strided:
            return tensor.untyped_storage().data_ptr() or id(tensor)
    return id(tensor)


def _is_writable(tensor: Tensor) -> bool:
    """Not one of inference mode, or one that repeats its numbers."""
    return not tensor.is_inference() and not (
        tensor.layout is torch.strided and any(
            stride == 0 and size > 1
            for stride, size in zip(tensor.stride(), tensor.shape)))


def _copy(value) -> dict | list:
    """What is in a collection, whatever its class says of it."""
    if isinstance(value, dict):
        return dict.copy(value)
    return list(_kind(value).__iter__(value))


def _fill(value, items: dict | list) -> None:
    """Make ``items`` again all that is in a collection, if it is not."""
    if _is_same(_copy(value), items):
        return
    kind: Any = _kind(value)
    kind.clear(value)
    if isinstance(value, (dict, set)):
        kind.update(value, items)
    else:
        kind.extend(value, items)


def _is_same(ours: dict | list, theirs: dict | list) -> bool:
    """Whether both hold the same objects in one order, as keys as well."""
    return len(ours) == len(theirs) and all(
        map(operator.is_, ours, theirs)) and not (
            isinstance(ours, dict) and isinstance(theirs, dict)
            and not all(map(operator.is_, ours.values(), theirs.values())))


def _kind(value) -> type:
    return next(kind for kind in COLLECTIONS if isinstance(value, kind))


def _state(generator):
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.get_state()


def _set_state(generator, state) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)
