"""What MMEngine logs where ReLU weights start a network with ACON."""
import torch.nn as nn


class NewKeys(str):
    """One entry in a list of missing keys for all those of activations."""

    def __new__(cls, keys: int, activations: int) -> 'NewKeys':
        new = super().__new__(
            cls, f'{keys} of {activations} ACON activation'
            f'{"s" * (activations > 1)}, which keep their start')
        new.keys, new.activations = keys, activations
        return new


def count_new_keys(module: nn.Module, incompatible) -> None:
    """Put an activation that is new to a checkpoint into one count.

    MMEngine prints every key that is missing, 8 kB for a ResNet-50.

    Args:
        module (nn.Module): The activation, just loaded.
        incompatible: ``missing_keys`` and ``unexpected_keys`` so far. Those
            of PyTorch's own ``load_state_dict`` stay: its caller gets them.
    """
    if not type(incompatible).__module__.startswith('mmengine.'):
        return
    missing, own = incompatible.missing_keys, module.state_dict()
    prefix = next((missing[-1][:-len(name)] for name in own
                   if missing and missing[-1].endswith(f'.{name}')), None)
    absent = [key for key in missing
              if prefix is not None and key.startswith(prefix)]
    # BatchNorm fills in the count of its batches itself
    counted = [name for name in own
               if not name.endswith('num_batches_tracked')]
    if not absent or any(prefix + name not in absent for name in counted):
        return  # not new: the checkpoint has some of its keys
    before = [key for key in missing if isinstance(key, NewKeys)]
    missing[:] = [key for key in missing if key not in absent + before]
    missing.append(NewKeys(
        len(counted) + sum(entry.keys for entry in before),
        1 + sum(entry.activations for entry in before)))
