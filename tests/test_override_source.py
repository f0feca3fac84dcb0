"""The override on classes written in all the ways that Python allows."""
import functools
import inspect
import pickle
import traceback

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from override_cases import IMAGE, Two, check_like_stock, swap, widths
from torch.nn.functional import gelu as bend

SLOPE = 0.5


class OtherNames(Two):

    def __init__(self):
        super().__init__(act=nn.SiLU())
        self.c, self.relu1 = nn.Conv2d(6, 8, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x):
        x = self.c(self.act(self.b(self.act(self.a(x)))))
        return self.relu(self.relu1(self.relu(x)))


def test_a_seat_takes_no_name_that_the_class_uses():
    model = check_like_stock(OtherNames())
    assert isinstance(model.relu1, nn.Conv2d)
    assert widths(model) == dict(act1=6, act2=4, relu_act1=8, relu_act2=8)
    twin = pickle.loads(pickle.dumps(model))
    torch.testing.assert_close(twin(IMAGE), model(IMAGE))


def doubled(function):

    @functools.wraps(function)
    def wrapper(self, x):
        return 2 * function(self, x)

    return wrapper


class Decorated(Two):

    @doubled
    def forward(self, x):
        return self.relu(self.b(self.relu(self.a(x))))


def test_decorators_go_on_working():
    model = check_like_stock(Decorated())
    assert widths(model) == dict(act1=6, act2=4)
    assert 'act1' in inspect.getsource(type(model).forward)
    twin = pickle.loads(pickle.dumps(model))
    torch.testing.assert_close(twin(IMAGE), model(IMAGE))


KEPT = {}


def named(function):
    name = function.__qualname__
    KEPT[name] = function

    def wrapper(self, x):
        return KEPT[name](self, x)

    return functools.update_wrapper(wrapper, function)


class KeptElsewhere(Two):

    @named
    def forward(self, x):
        return self.relu(self.b(self.relu(self.a(x))))


def test_what_a_decorator_keeps_out_of_its_closure_shares_its_seat():
    model = check_like_stock(KeptElsewhere())
    assert widths(model) == {'relu.acts.4': 4, 'relu.acts.6': 6}


class Narrowed(Two):

    def forward(self, x):
        return self.c(super().forward(x))

    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(6, 2, 1)


class Bounded(Narrowed):

    def forward(self, x):
        return F.relu(super().forward(x) - 1)


def test_what_only_super_reaches_has_seats_of_its_own():
    model = check_like_stock(Bounded())
    assert widths(model) == dict(act1=6, act2=4, act3=2)
    assert isinstance(model, Bounded) and type(model).mro().index(
        Bounded) < type(model).mro().index(Two)
    twin = pickle.loads(pickle.dumps(model))
    assert type(twin) is type(model)
    torch.testing.assert_close(twin(IMAGE), model(IMAGE))
    assert not hasattr(Two, 'act1') and 'relu' in inspect.getsource(
        Two.forward)


class Registered(Two):
    subclasses = 0

    def __init_subclass__(cls):
        Registered.subclasses += 1


class Derived(Registered):

    def forward(self, x):
        return super().forward(x) * 2


def test_no_base_hears_of_what_stands_for_it():
    assert widths(check_like_stock(Derived())) == dict(act1=6, act2=4)
    assert Registered.subclasses == 1  # Derived itself


def test_an_override_may_follow_one_of_what_super_reaches():
    model = Bounded()
    swap(model, placement=['act1'])
    assert widths(model) == dict(act1=6)
    swap(model)
    assert len(widths(model)) == 3
    twin = pickle.loads(pickle.dumps(model))
    torch.testing.assert_close(twin(IMAGE), model(IMAGE))


class Private(Two):
    SIZE = 3

    def __init__(self):
        super().__init__()
        self.__scale = 2.

    def forward(self, x: SIZE, size: int = SIZE, *,
                shift: float = SLOPE) -> SIZE:  # names of the class alone
        x = self.relu(self.a(x)) * self.__scale
        return self.relu(self.b(x)) + size + shift


def test_private_names_defaults_and_annotations():
    model = check_like_stock(Private())
    assert inspect.signature(type(model).forward) == inspect.signature(
        Private.forward)
    assert widths(model) == dict(act1=4, act2=6)


class Closure(Two):

    def forward(self, x):

        def inner(y):
            return self.relu(self.b(y))

        assert super().extra_repr() == '' and __class__ is Closure
        return inner(self.relu(self.a(x)))


def test_closures_and_super():
    assert widths(check_like_stock(Closure())) == dict(act1=6, act2=4)


def test_errors_show_the_code_that_ran():
    model = Two()
    swap(model)
    with pytest.raises(RuntimeError) as error:
        model(torch.randn(2, 5, 4, 4))
    lines = ''.join(traceback.format_exception(error.value))
    assert 'return self.act1(self.b(self.act2(self.a(x))))' in lines


def test_a_scripted_module_has_the_new_activations():
    model = Two()
    swap(model)
    with torch.no_grad():
        model.act2.p2 += SLOPE
    torch.testing.assert_close(torch.jit.script(model)(IMAGE), model(IMAGE))


class Statement(Two):

    def forward(self, x):
        maps = [self.a(x)]
        self.relu(maps[0])
        return self.b(maps[0])


class Reading(Two):

    def forward(self, x):
        x = self.a(x)
        y = self.relu(x)
        return self.b(x + y)


class Alias(Two):

    def forward(self, x):
        x = self.a(x)
        identity = x
        x = self.relu(x)
        return self.b(x + identity)


@pytest.mark.parametrize('cls', [Statement, Reading, Alias])
def test_what_spreads_in_place_is_left_and_told(cls):
    model = cls(relu=nn.ReLU(inplace=True), other=nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.PReLU(4)))
    report = swap(model)
    assert isinstance(model.relu, nn.ReLU)
    assert ('relu', 'inplace, and its input is read again') in [
        (entry.path, entry.reason) for entry in report.left]


@pytest.mark.parametrize('cls', [Reading, Alias])
def test_what_does_not_spread_is_swapped(cls):
    assert len(widths(check_like_stock(cls()))) == 1


class Multiplied(Two):

    def forward(self, x):
        x = self.a(x)
        y = self.relu(x)
        x.mul_(2)
        return self.b(x + y)


class Assigned(Two):

    def forward(self, x):
        x = self.a(x)
        y = self.relu(x)
        x[:, 0] = 1
        return self.b(x + y)


@pytest.mark.parametrize('cls', [Multiplied, Assigned])
def test_an_input_that_is_changed_afterwards_is_copied(cls):
    check_like_stock(cls())


class Backwards(nn.Sequential):

    def forward(self, x):
        for layer in reversed(list(self)):
            x = layer(x)
        return x


def test_a_sequence_with_a_forward_of_its_own_is_not_in_order():
    model = nn.Sequential(
        Backwards(nn.ReLU(), nn.Conv2d(3, 4, 1)), nn.SiLU())
    assert [(e.path, e.width) for e in swap(model).swapped] == [
        ('1', 4), ('0.0', 4)]


class Functions(Two):

    def __init__(self, function):
        super().__init__()
        self.activation = function

    def forward(self, x):
        return bend(self.activation(self.relu(self.a(x))))


@pytest.mark.parametrize('function, name', [
    (F.silu, 'silu'), (torch.relu, 'relu'), (nn.SiLU(), 'SiLU'),
    (functools.partial(F.leaky_relu, negative_slope=0.1), 'leaky_relu')])
def test_functions_by_any_name_get_seats(function, name):
    model = Functions(function)
    report = swap(model)
    assert {e.old for e in report.swapped} == {name, 'gelu', 'ReLU'}
    assert report.functional == []
    slope = 0.1 if name == 'leaky_relu' else 0.
    new = {e.old: model.get_submodule(e.path) for e in report.swapped}[name]
    torch.testing.assert_close(new.p2, torch.full((4, ), slope))


def test_kinds_that_stay_are_told():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.ELU(), nn.ReLU6())
    report = swap(model, ['1'])
    assert [(e.path, e.reason) for e in report.left] == [
        ('3', 'outside the placement'), ('2', 'ACON cannot start like it')]
