import pytest
import torch
import torch.nn.functional as F
from torch import nn

from adain_core.networks.convolution import Conv3x3, UpConv3x3, reflected
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import STYLE_TAPS, VGG19_WIDTHS, Encoder
from tests.helpers import TINY_WIDTHS, random_picture


def test_taps_have_vggs_channels_and_strides():
    features = Encoder(VGG19_WIDTHS)(torch.rand(1, 3, 64, 48), STYLE_TAPS)
    shapes = {tap: tuple(x.shape[1:]) for tap, x in features.items()}
    assert shapes == {
        "relu1_1": (64, 64, 48),
        "relu2_1": (128, 32, 24),
        "relu3_1": (256, 16, 12),
        "relu4_1": (512, 8, 6),
    }


def test_it_is_the_plain_sequence_of_layers():
    """The same network written out as in the paper: color map, padding, convolution, ReLU, pooling."""
    encoder = Encoder(TINY_WIDTHS)
    encoder.color.weight.copy_(torch.randn(3, 3))
    encoder.color.bias.copy_(torch.randn(3))
    color = nn.Conv2d(3, 3, 1)
    color.weight.data, color.bias.data = encoder.color.weight[:, :, None, None], encoder.color.bias
    image = random_picture(37, 50)
    x = color(image)
    for block, names in enumerate(encoder.blocks):
        x = F.max_pool2d(x, 2, 2, ceil_mode=True) if block else x
        for name in names:
            conv = getattr(encoder, name)
            x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), conv.weight, conv.bias))
    torch.testing.assert_close(encoder(image)["relu4_1"], x, rtol=1e-4, atol=1e-5)


def test_a_fifth_block_reaches_relu5_1():
    features = Encoder((4, 4, 4, 4, 6))(random_picture(64, 64), ["conv4_2", "relu4_2", "relu5_1"])
    assert tuple(features["relu5_1"].shape) == (1, 6, 4, 4)
    assert features["conv4_2"].min() < 0
    torch.testing.assert_close(features["relu4_2"], features["conv4_2"].relu())


@pytest.mark.parametrize("widths", [(), (1,) * 6, (2, 0, 2, 2)])
@pytest.mark.parametrize("network", [Encoder, Decoder])
def test_widths_that_make_no_network_are_refused(network, widths):
    with pytest.raises(ValueError, match=r"widths \[.*\] make no network; expected 1 to 5 positive numbers"):
        network(widths)


def test_an_unknown_layer_is_named():
    with pytest.raises(ValueError, match=r"no layer relu5_1; its last one is relu4_1"):
        Encoder(TINY_WIDTHS)(random_picture(16, 16), ["relu1_1", "relu5_1"])


def test_nothing_deeper_than_the_taps_is_computed():
    encoder, seen = Encoder(TINY_WIDTHS), []
    for name in ("conv2_1", "conv2_2"):
        encoder.get_submodule(name).register_forward_hook(lambda *_, name=name: seen.append(name))
    encoder(random_picture(16, 16), ["relu1_1", "relu2_1"])
    assert seen == ["conv2_1"]


def test_gradients_reach_the_picture():
    image = random_picture(32, 32).requires_grad_()
    Encoder(TINY_WIDTHS)(image)["relu4_1"].sum().backward()
    assert image.grad.abs().sum() > 0


@pytest.mark.skipif(torch.__version__ < "2.10", reason="training needs PyTorch 2.10; 2.7's meta device guesses wrong")
def test_the_compiler_foresees_the_layout_of_the_upsampling_s_gradient():
    # torch.compile plans memory by what the meta device says; where the real gradient differs, training ends.
    strides = []
    for device in ("cpu", "meta"):
        conv = UpConv3x3(8, 4).to(device, memory_format=torch.channels_last)
        x = torch.rand(2, 8, 6, 6, device=device).to(memory_format=torch.channels_last).requires_grad_()
        (gradient,) = torch.autograd.grad(conv(x).sum(), x)
        strides.append(gradient.stride())
    assert strides[0] == strides[1]


@pytest.mark.parametrize(("height", "width"), [(2, 2), (2, 9), (8, 7)])
@torch.no_grad()
def test_borders_of_large_maps_are_reflected_too(height, width, monkeypatch):
    conv, x = Conv3x3(3, 4), torch.randn(2, 3, height, width)
    expected = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), conv.weight, conv.bias)
    monkeypatch.setattr("adain_core.networks.convolution._LARGE", 0)
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.testing.assert_close(conv(x.contiguous(memory_format=layout)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_reflected_border_keeps_the_layout(layout):
    x = torch.randn(2, 3, 2, 9).contiguous(memory_format=layout)
    padded = reflected(x)
    assert padded.equal(F.pad(x, (1, 1, 1, 1), mode="reflect"))
    assert padded.is_contiguous(memory_format=layout)
