"""Fine-tuning sees int8's rounding, learns under it, and leaves a network as it was."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; make test-training installs it apart from the rest")

from edgematte.models.training import fake_quant, lite_encoder, unet  # noqa: E402


def test_a_rounded_weight_has_at_most_255_values_per_channel_and_the_plain_gradient() -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 16, 5, 5, requires_grad=True)
    rounded = fake_quant.rounded_weight(weight)
    for channel, plain in zip(rounded.detach(), weight.detach(), strict=True):
        steps = channel / (plain.abs().max() / fake_quant.WEIGHT_STEPS)
        assert torch.allclose(steps, steps.round(), atol=1e-3)
        assert (channel - plain).abs().max() <= plain.abs().max() / fake_quant.WEIGHT_STEPS / 2 * 1.001
    (gradient,) = torch.autograd.grad(rounded.sum(), weight)
    assert torch.equal(gradient, torch.ones_like(weight))


def test_rounding_before_a_normalisation_is_folded_is_rounding_after_it() -> None:
    torch.manual_seed(0)
    weight, factor = torch.randn(4, 8, 3, 3), torch.rand(4, 1, 1, 1) + 0.1
    assert torch.allclose(fake_quant.rounded_weight(weight) * factor, fake_quant.rounded_weight(weight * factor))


def test_what_a_layer_passes_on_has_256_steps_of_the_range_seen_in_training() -> None:
    layer, follow = torch.nn.ReLU(), fake_quant.Range()
    layer.register_forward_hook(follow)
    passed = layer(torch.linspace(-1, 5.1, 10_000))
    assert passed.unique().numel() == 256
    assert passed.max() == pytest.approx(5.1)
    layer.eval()
    assert layer(torch.tensor([100.0])) == pytest.approx(5.1), "in use nothing new is learned, and int8 saturates"


def test_a_network_computes_with_rounding_and_its_statistics_stand_still() -> None:
    torch.manual_seed(0)
    shape = unet.UNetShape(encoder=(8, 8, 8), residuals=(0, 0, 1))
    plain = unet.UNet(shape).train()
    for _ in range(3):
        plain(torch.randn(2, 3, 64, 64))
    rounded = copy.deepcopy(plain).train()
    fake_quant.fake_quantise(rounded)
    picture = torch.randn(2, 3, 64, 64)
    before = {name: value.clone() for name, value in rounded.state_dict().items()}
    difference = (rounded.logits(picture) - plain.eval().logits(picture)).abs().max()
    assert 1e-4 < difference < 0.2, "int8 is near full precision and not the same"
    assert all(torch.equal(value, before[name]) for name, value in rounded.state_dict().items())
    assert rounded.state_dict().keys() == plain.state_dict().keys(), "a plain network takes the weights"


def test_fixed_kernels_are_rounded_once() -> None:
    torch.manual_seed(0)
    block = lite_encoder.Bottleneck(8, 8, 3, 1, 2)
    kernel = block.depthwise.weight.clone()
    fake_quant.fake_quantise(block)
    assert torch.equal(block.depthwise.weight, fake_quant.rounded_weight(kernel))
    assert not torch.equal(block.depthwise.weight, kernel)
    block(torch.randn(1, 8, 4, 4)).sum().backward()
    assert block.expand is not None
    assert block.expand.weight.grad is not None
