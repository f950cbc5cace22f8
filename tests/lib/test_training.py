import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from tutorial_lib.training import fit


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
