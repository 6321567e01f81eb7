"""Running out of memory."""

import logging

import torch

from tests.nodes.models import image


def test_too_little_memory_means_smaller_tiles_a_line_in_the_log_and_the_same_picture(comfy, tiny, caplog):
    content, style = image(280, 330), image(64, 64, seed=1)
    (expected,) = comfy.call("AdaINStylize", model=tiny, content=content, style=style, tile="off")
    largest = 200 * 200

    def refuse(_module, inputs):
        if inputs[0].shape[-1] * inputs[0].shape[-2] > largest:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    hooks = [tiny.networks.encoder.get_submodule("conv1_2").register_forward_pre_hook(refuse)]
    hooks += [tiny.networks.decoder.get_submodule("conv2_1").register_forward_pre_hook(refuse)]
    with caplog.at_level(logging.WARNING):
        (result,) = comfy.call("AdaINStylize", model=tiny, content=content, style=style, tile="off")
    for hook in hooks:
        hook.remove()
    assert "Memory is short" in caplog.text
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)
