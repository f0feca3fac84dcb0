"""What the override's runs leave of themselves: nothing."""
import collections
import copy
import random

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from override_cases import IMAGE, Two, acons, swap

from acon_mm import swap_activations


class Keeping(Two):
    """Keeps what it sees in collections and tensors of all kinds."""

    def __init__(self):
        super().__init__()
        self.queue = collections.deque([1], maxlen=3)
        self.counts = collections.Counter(a=2)
        self.nested = dict(inner=[[1], dict(x=[2])])
        self.own = self.nested['inner'][0]
        self.total = torch.zeros(3)
        self.code = nn.Parameter(torch.ones(3), requires_grad=False)
        self.register_buffer('seen', torch.zeros(1))

    def forward(self, x):
        self.queue.append(x)
        self.counts['a'] += 1
        self.nested['inner'][0].append(x)
        self.nested['inner'][1]['x'].append(x)
        self.total.add_(1)
        self.seen += 1
        with torch.no_grad():
            self.code.mul_(.9)
        return super().forward(x) + random.random() + np.random.rand()


def test_what_a_run_changes_is_given_back():
    model = Keeping()
    random.seed(3), np.random.seed(4), torch.manual_seed(5)
    expected = random.random(), np.random.rand(), torch.rand(())
    random.seed(3), np.random.seed(4), torch.manual_seed(5)
    assert len(swap(model).swapped) == 2 or acons(model)
    assert (random.random(), np.random.rand(), torch.rand(())) == expected
    assert list(model.queue) == [1] and model.queue.maxlen == 3
    assert model.counts == dict(a=2)
    assert model.nested == dict(inner=[[1], dict(x=[2])])
    assert model.nested['inner'][0] is model.own
    assert not model.total.any() and not model.seen.any()
    assert torch.equal(model.code, torch.ones(3))


def test_gpus_that_are_not_in_use_yet_are_not_seeded(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch.cuda, 'manual_seed_all', seeds.append)
    torch.manual_seed(5)
    assert len(swap(Two()).swapped) == 2
    assert seeds == [5]


class Writing(Two):
    """Its training writes to what trains, as WGAN's critic does."""

    def __init__(self, write):
        super().__init__()
        self.write = write

    def forward(self, x):
        if self.training:
            with torch.no_grad():
                self.write(self.a.weight)
        return F.relu(super().forward(x))


def renew(weight):
    weight.data = weight.data * .5


@pytest.mark.parametrize('write', [
    lambda weight: weight.data.clamp_(-.01, .01), lambda weight: renew(weight),
    lambda weight: weight.mul_(.5), lambda weight: weight.copy_(weight / 2)])
@pytest.mark.parametrize('verify', [True, False])
def test_weights_that_a_run_writes_to_are_given_back(write, verify):
    model = Writing(write)
    weight = model.a.weight.detach().clone()
    memory = model.a.weight.data_ptr()
    report = swap_activations(model, dict(type='AconC'), 'all', verify=verify)
    assert report.swapped
    assert torch.equal(model.a.weight, weight)
    assert model.a.weight.data_ptr() == memory


def test_a_collection_that_holds_itself_ends():
    model = Two()
    model.names = [1]
    model.names.append(model.names)
    assert swap(model).swapped
    assert model.names[0] == 1 and model.names[1] is model.names


def test_what_cannot_be_written_to_is_no_hindrance():
    model = Two()
    model.register_buffer('repeated', torch.ones(1, 3).expand(4, 3))
    with torch.inference_mode():
        model.past = torch.ones(3)
    assert swap(model).swapped
    assert torch.equal(model.repeated, torch.ones(4, 3))
    assert torch.equal(model.past, torch.ones(3))


class Changing(Two):
    """Changes what it is given."""

    def forward(self, batch):
        x = batch.pop('image')
        x.sub_(1)
        return super().forward(x)


@pytest.mark.parametrize('given', [
    lambda batch: (batch, ), lambda batch: dict(batch=batch)])
def test_a_users_inputs_stay_as_they_are(given):
    model = Changing()
    image = IMAGE.clone()
    batch = dict(image=image)
    report = swap_activations(model, dict(type='AconC'), 'all',
                              inputs=given(batch))
    assert report.swapped and acons(model)
    assert [*batch] == ['image'] and torch.equal(image, IMAGE)


def test_a_scripted_part_keeps_its_mode():
    part = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(.5)))
    model = nn.Sequential(part, nn.ReLU()).eval()
    swap(model)
    assert not any(module.training for module in model.modules())
    assert torch.equal(model(IMAGE), model(IMAGE))


class Lazy(nn.Module):

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.LazyConv2d(4, 1), nn.LazyConv2d(6, 1)

    def forward(self, x):
        return self.b(F.relu(self.a(x)))


def test_a_lazy_model_is_told_to_run_first():
    model = Lazy()
    with pytest.raises(ValueError, match='Lazy has lazy layers .* run it onc'):
        swap(model)
    assert isinstance(model.a, nn.LazyConv2d)
    assert model(IMAGE).shape == (2, 6, 5, 5)  # it builds as before
    assert [one.width for one in swap(model).swapped] == [4]


def test_hooks_go_with_the_activation():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    seen = []
    handles = [
        model[1].register_forward_hook(
            lambda module, args, out: seen.append(out.shape)),
        model[1].register_forward_pre_hook(
            lambda module, args, kwargs: seen.append('pre'),
            with_kwargs=True),
        model[1].register_full_backward_hook(
            lambda module, grads, outs: seen.append('back'))]
    swap(model)
    seen.clear()
    assert type(model[1]).__name__ == 'AconC'
    model(IMAGE).sum().backward()
    assert seen == ['pre', (2, 4, 5, 5), 'back']
    for handle in handles:
        handle.remove()
    model(IMAGE).sum().backward()
    assert len(seen) == 3


class Shared(Two):
    """Its ReLU, called twice, is two afterwards."""


def test_hooks_go_with_each_call():
    model = Shared()
    seen = []
    model.relu.register_forward_hook(lambda *_: seen.append(1))
    swap(model)
    seen.clear()
    model(IMAGE)
    assert len(seen) == 2


class Trainer(Two):
    """Its `train` is another thing."""

    def train(self, loader, epochs=1):
        raise RuntimeError('no loader')


def test_another_train_is_let_alone():
    model = Trainer()
    assert swap(model).swapped
    assert acons(model) and all(m.training for m in acons(model).values())


def test_new_parameters_are_of_the_models_kind():
    act = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))  # without parameters
    model = nn.Sequential(nn.Conv2d(3, 4, 1), act).double()
    swap(model)
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert model(IMAGE.double()).dtype == torch.float64


def test_a_model_can_still_be_copied_as_it_says():

    class Locked(Two):

        def __init__(self):
            super().__init__()
            self.lock = (i for i in ())  # no copy of a generator is possible

        def forward(self, x):
            return F.relu(super().forward(x))

        def __getstate__(self):
            return dict(self.__dict__, lock=None)

    model = Locked()
    assert len(swap(model).swapped) == 3
    twin = copy.deepcopy(model)
    assert twin.lock is None
    assert torch.equal(twin(IMAGE), model(IMAGE))
