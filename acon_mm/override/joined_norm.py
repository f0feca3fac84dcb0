"""A batch norm and the activation behind it, as one op.

``norm_eval=True``, the default of detectors, makes of a batch norm an affine
map, which the op applies itself; one in training joins it with its statistics.
Either way the norm's output is neither written nor kept.
"""
import ast
import re

import torch
import torch.nn as nn
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from acon_mm.base import AconBase
from acon_mm.functional.norm import Norm
from acon_mm.functional.tracing import is_traced
from acon_mm.override.source import attribute_path
from acon_mm.watched import is_watched

FORWARDS = (_BatchNorm.forward, nn.SyncBatchNorm.forward)


def activate_normed(act: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """``act(norm(x))``; a captured graph shows the two as they are."""
    if not isinstance(act, AconBase) or is_watched(act) or is_traced(x):
        return act(norm(x))
    if takes_batch(norm):
        y = _join_batch(act, norm, x)
        return act(norm(x)) if y is None else y
    if not (act.takes_affine and is_frozen(norm)):
        return act(norm(x))
    # in half precision the product would lose what the norm keeps
    dtype = torch.promote_types(norm.running_var.dtype, torch.float32)
    scale = (norm.running_var.to(dtype) + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    bias = torch.zeros_like(scale) if norm.bias is None else norm.bias
    shift = torch.addcmul(bias, norm.running_mean, scale, value=-1)
    return act(x, scale, shift)


def takes_batch(norm: nn.Module) -> bool:
    """Whether it is PyTorch's batch norm, normalizes by the batch's own
    statistics, and nobody listens to it."""
    return (isinstance(norm, _BatchNorm)
            and (norm.training or norm.running_var is None)
            and type(norm).forward is _BatchNorm.forward
            and not is_watched(norm))


def _join_batch(act: AconBase, norm: _BatchNorm, x: Tensor) -> Tensor | None:
    """As of :meth:`AconBase.after_norm`; the norm counts the batch."""
    norm._check_input_dim(x)
    follows = norm.training and norm.track_running_stats
    seen = norm.num_batches_tracked if follows else None
    momentum = norm.momentum
    if momentum is None:  # the mean over all batches
        momentum = 0. if seen is None else 1. / (float(seen) + 1.)
    running = (norm.running_mean, norm.running_var) if follows else (
        None, None)
    y = act.after_norm(x, Norm(norm.weight, norm.bias, *running, momentum,
                               norm.eps))
    if y is not None and seen is not None:
        seen.add_(1)
    return y


def is_frozen(norm: nn.Module) -> bool:
    """Whether it is a batch norm that applies its running statistics.

    One that somebody listens to, or whose forward is not PyTorch's, is left
    to run by itself.
    """
    return (isinstance(norm, _BatchNorm) and not norm.training
            and norm.running_var is not None
            and type(norm).forward in FORWARDS and not is_watched(norm))


def hand_over_norm(call: ast.Call, own: str = 'self') -> None:
    """Make ``self.act(self.norm(x))`` a ``self.activate_normed(...)``.

    The norm may be called in the argument or, by the same name, in the
    statement before: ``x = self.norm(x)``, ``x = self.act(x)``.

    Args:
        call (ast.Call): Of the activation; changed in place with the
            statements around it, or left if no norm is in front.
        own (str): The method's name of ``self``.
    """
    statement, previous = call.parent, None
    norm = call.args[0]
    if isinstance(norm, ast.Name) and _assigned(statement) == norm.id:
        previous = _statement_before(statement)
        if _assigned(previous) != norm.id:
            return
        norm = previous.value
    path = isinstance(norm, ast.Call) and attribute_path(norm.func, own)
    if not path or not re.search('norm|bn', path) or (
            len(norm.args) != 1 or norm.keywords):
        return
    if previous is not None:
        _block_of(previous).remove(previous)
    call.args = [call.func, norm.func, norm.args[0]]
    call.func = ast.Attribute(
        ast.Name(own, ast.Load()), 'activate_normed', ast.Load())


def _assigned(statement: ast.AST | None) -> str | None:
    """``'x'`` of ``x = ...``."""
    targets = getattr(statement, 'targets', ())
    return getattr(targets[0], 'id', None) if len(targets) == 1 else None


def _statement_before(statement: ast.AST) -> ast.AST | None:
    block = _block_of(statement)
    index = block.index(statement)
    return block[index - 1] if index > 0 else None


def _block_of(statement: ast.AST) -> list[ast.AST]:
    """The list of statements that ``statement`` is in."""
    return next(
        block for _, block in ast.iter_fields(statement.parent)
        if isinstance(block, list) and statement in block)
