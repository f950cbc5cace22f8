import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from tutorial_lib.teacher_forcing import token_cross_entropy
from tutorial_lib.training import evaluating, fit


class Weighted(nn.Module):
    """Two inputs: the second says how much of the first is heard."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4).double()

    def forward(self, x, share):
        return self.linear(x * share[:, None, None])


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Linear(3, 4).double()


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(4, (5, 8, 6), generator=generator)
    inputs = torch.randn(5, 8, 6, 3, generator=generator, dtype=torch.float64)
    return list(zip(inputs, labels, strict=True))


def test_two_steps_of_gradient_descent_are_those_worked_by_hand(network, batches):
    weight, bias = network.weight.detach().clone(), network.bias.detach().clone()
    losses = fit(network, batches[:2], torch.optim.SGD(network.parameters(), lr=0.5))
    for (inputs, labels), measured in zip(batches, losses, strict=False):
        p = (inputs @ weight.T + bias).softmax(dim=-1)
        torch.testing.assert_close(measured, -p.gather(-1, labels[..., None]).log().mean())
        error = (p - nn.functional.one_hot(labels, 4)) / labels.numel()
        weight -= 0.5 * torch.einsum("btc,bti->ci", error, inputs)
        bias -= 0.5 * error.sum((0, 1))
    torch.testing.assert_close(network.weight.detach(), weight)
    torch.testing.assert_close(network.bias.detach(), bias)


def test_every_batch_gives_one_loss_without_a_gradient(network, batches):
    losses = fit(network, batches, torch.optim.Adam(network.parameters()))
    assert losses.shape == (5,)
    assert not losses.requires_grad


def test_the_scheduler_takes_one_step_a_batch_and_the_optimizer_uses_its_rate(network, batches):
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    scheduler = LambdaLR(optimizer, lambda step: (step + 1) / 5)
    fit(network, batches[:3], optimizer, scheduler)
    assert scheduler.last_epoch == 3
    assert scheduler.get_last_lr() == [4 / 5]


def test_without_a_scheduler_the_rate_stays(network, batches):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.25)
    fit(network, batches, optimizer)
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_batches_may_come_one_by_one_from_a_generator(network, batches):
    losses = fit(network, (batch for batch in batches), torch.optim.SGD(network.parameters(), 0.1))
    assert len(losses) == 5


def test_the_network_is_put_into_training_mode(network, batches):
    network.eval()
    fit(network, batches[:1], torch.optim.SGD(network.parameters(), lr=0.1))
    assert network.training


def test_a_network_may_take_several_inputs(batches):
    torch.manual_seed(0)
    network, alone = Weighted(), Weighted()
    alone.load_state_dict(network.state_dict())
    share = torch.linspace(0.5, 2, 8, dtype=torch.float64)
    several = [((inputs, share), labels) for inputs, labels in batches]
    losses = fit(network, several, torch.optim.SGD(network.parameters(), lr=0.1))
    one = [(inputs * share[:, None, None], labels) for inputs, labels in batches]
    expected = fit(alone.linear, one, torch.optim.SGD(alone.parameters(), lr=0.1))
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(dict(network.state_dict()), dict(alone.state_dict()))


def test_a_tuple_of_one_input_is_that_input(network, batches):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    losses = []
    for wrapped in (False, True):
        network.load_state_dict(before)
        given = [((inputs,), labels) if wrapped else (inputs, labels) for inputs, labels in batches]
        losses.append(fit(network, given, torch.optim.SGD(network.parameters(), lr=0.1)))
    torch.testing.assert_close(*losses, atol=0, rtol=0)


def test_labels_that_are_padding_do_not_count(network, batches):
    for inputs, labels in batches:
        expected = token_cross_entropy(network(inputs), labels, pad_token=3)
        assert not torch.allclose(expected, token_cross_entropy(network(inputs), labels))
        still = torch.optim.SGD(network.parameters(), lr=0.0)
        (measured,) = fit(network, [(inputs, labels)], still, pad_token=3)
        torch.testing.assert_close(measured, expected)


def test_a_batch_of_padding_leaves_the_network_as_it_is(network, batches):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    inputs, labels = batches[0]
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    losses = fit(network, [(inputs, torch.full_like(labels, 3))], optimizer, pad_token=3)
    assert losses.tolist() == [0.0]
    torch.testing.assert_close(dict(network.state_dict()), before, atol=0, rtol=0)


def test_no_batches_are_refused(network):
    with pytest.raises(ValueError, match="at least one batch"):
        fit(network, [], torch.optim.SGD(network.parameters(), lr=0.1))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("shape", [(6, 8), (48,), (8, 6, 1)])
def test_labels_that_do_not_fit_the_logits_are_refused(network, batches, shape):
    inputs, labels = batches[0]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"^labels must have shape \(batch, length\) to fit"):
        fit(network, [(inputs, labels.reshape(shape))], optimizer)


def test_a_look_leaves_every_part_in_its_own_mode(network):
    parts = nn.Sequential(network, nn.Dropout().eval(), nn.Sequential(nn.Dropout()))
    modes = [part.training for part in parts.modules()]

    def look():
        with evaluating(parts):
            assert not any(part.training for part in parts.modules())
            assert not network(torch.ones(3, dtype=torch.float64)).requires_grad
            raise KeyError

    with pytest.raises(KeyError):
        look()
    assert [part.training for part in parts.modules()] == modes == [True, True, False, True, True]
    assert torch.is_grad_enabled()
