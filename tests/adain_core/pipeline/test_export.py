"""Graphs that are traced from the model, and the ONNX files made of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.export import Dim

from adain_core.pipeline.tiling import crop, pad_to_grid
from tests.helpers import TINY_WIDTHS, random_picture, tiny_model

needs_a_later_compiler = pytest.mark.skipif(
    torch.__version__ < "2.10", reason="the compiler of PyTorch 2.7 does not follow the model"
)


def eights(name: str) -> dict[int, object]:
    """Height and width that are any multiples of 8."""
    return {2: 8 * Dim(f"{name}_rows", min=2), 3: 8 * Dim(f"{name}_columns", min=2)}


def any_size(name: str) -> dict[int, object]:
    return {2: Dim(f"{name}_height", min=16), 3: Dim(f"{name}_width", min=16)}


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Small eigenvalues of a transport are raised otherwise in a graph; nobody sees that."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.mean(), expected.mean())


@pytest.fixture(params=["concat-content-adain", "concat-content-transport"])
def transfer(request):
    return tiny_model(request.param)


@needs_a_later_compiler
def test_an_encoder_is_exported_for_all_multiples_of_8(transfer):
    graph = torch.export.export(transfer.encoder, (torch.zeros(1, 3, 24, 32),), dynamic_shapes=(eights("image"),))
    content = random_picture(40, 16)
    expected = transfer.encoder(content)["relu4_1"]
    torch.testing.assert_close(graph.module()(content)["relu4_1"], expected)


@needs_a_later_compiler
def test_a_decoder_is_exported_for_all_sizes(transfer):
    rows, columns = Dim("rows", min=2), Dim("columns", min=2)
    strides = {"relu1_1": 8, "relu2_1": 4, "relu3_1": 2}

    def inputs(height: int, width: int):
        maps = {
            tap: [torch.rand(1, channels, k * height, k * width)]
            for channels, (tap, k) in zip(TINY_WIDTHS, strides.items(), strict=False)
        }
        return torch.rand(1, TINY_WIDTHS[-1], height, width), maps

    shapes = {2: rows, 3: columns}, {tap: [{2: k * rows, 3: k * columns}] for tap, k in strides.items()}
    graph = torch.export.export(transfer.decoder, inputs(3, 4), dynamic_shapes=shapes)
    other = inputs(5, 2)
    torch.testing.assert_close(graph.module()(*other), transfer.decoder(*other))


@needs_a_later_compiler
@pytest.mark.parametrize(("shapes", "size"), [(eights, (40, 16)), (any_size, (33, 51))])
def test_the_whole_model_is_exported_for(transfer, shapes, size):
    example = torch.zeros(1, 3, 24, 32), torch.zeros(1, 3, 32, 24)
    graph = torch.export.export(transfer, example, dynamic_shapes=(shapes("content"), shapes("style")))
    content, style = random_picture(*size), random_picture(48, 64, seed=1)
    close(graph.module()(content, style), transfer.forward(content, style))


@needs_a_later_compiler
def test_a_compiled_model_gives_what_it_gives_by_itself(transfer):
    content, style = random_picture(41, 30), random_picture(24, 50, seed=1)
    compiled = torch.compile(transfer, backend="aot_eager", fullgraph=True)
    close(compiled(content, style, 0.6), transfer.forward(content, style, 0.6))


@pytest.mark.parametrize("size", [(16, 16), (17, 24), (33, 31)])
def test_a_graph_pads_and_crops_as_it_is_done_without_one(size):
    picture = random_picture(*size)
    padded = torch.compile(pad_to_grid, backend="eager")(picture)
    assert padded.equal(pad_to_grid(picture))
    assert torch.compile(crop, backend="eager")(padded, size).equal(picture)


def test_hooks_see_every_convolution(transfer):
    seen = set()
    convolutions = {name: m for name, m in transfer.named_modules() if isinstance(m, nn.Conv2d)}
    for name, module in convolutions.items():
        module.register_forward_hook(lambda *_, name=name: seen.add(name))
    transfer(random_picture(24, 24), random_picture(24, 24, seed=1))
    assert seen == convolutions.keys()
