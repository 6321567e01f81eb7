"""Save Style, Load Style and Preserve Color."""

import asyncio
import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adain_core.images.pictures import Picture, to_pil
from adain_core.styles.files import read_style
from tests.nodes.models import image, load, save_model


def measured(comfy, model, seed=0, batch=1, kind="one style", detail="none"):
    picture = image(seed=seed, batch=batch)
    return comfy.call("AdaINComputeStyleStats", model=model, image=picture, batch=kind, detail=detail)[0]


def names(comfy):
    return comfy.nodes["AdaINLoadStyle"].info()["input"]["required"]["style"][1]["options"]


def test_a_saved_style_is_listed_and_loads_as_it_was(comfy, tiny):
    import folder_paths

    style = measured(comfy, tiny)
    (name,) = comfy.call("AdaINSaveStyle", style=style, filename_prefix="oil/waves")
    assert name == "oil/waves_00001_.safetensors" and name in names(comfy)
    assert read_style(folder_paths.get_full_path_or_raise("adain_styles", name))[0].name == "waves"
    (loaded,) = comfy.call("AdaINLoadStyle", style=name)
    assert loaded.space == style.space
    for tap in style.mean:
        torch.testing.assert_close(loaded.mean[tap], style.mean[tap])
        torch.testing.assert_close(loaded.std[tap], style.std[tap])


@pytest.mark.parametrize(("detail", "transform"), [("covariance", "gaussian-ot"), ("quantiles", "histogram")])
def test_a_saved_style_keeps_the_detail_that_it_was_measured_with(comfy, tiny, detail, transform):
    style = measured(comfy, tiny, detail=detail)
    (name,) = comfy.call("AdaINSaveStyle", style=style, filename_prefix="s")
    (loaded,) = comfy.call("AdaINLoadStyle", style=name)
    (features,) = comfy.call("AdaINEncode", model=tiny, image=image(seed=2))
    before, after = (
        comfy.call("AdaINBlend", features=features, style=s, transform=transform)[0].features.current
        for s in (style, loaded)
    )
    torch.testing.assert_close(after, before)


def test_a_connected_name_is_left_out_of_the_fingerprint(comfy, tiny):
    (name,) = comfy.call("AdaINSaveStyle", style=measured(comfy, tiny), filename_prefix="s")
    fingerprint = comfy.nodes["AdaINLoadStyle"].fingerprint_inputs
    assert len(fingerprint(style=name)) == 64 and fingerprint(style=None) == ""


def test_saving_again_overwrites_nothing(comfy, tiny):
    saved = [comfy.call("AdaINSaveStyle", style=measured(comfy, tiny, seed), filename_prefix="s")[0] for seed in (0, 1)]
    assert saved == ["s_00001_.safetensors", "s_00002_.safetensors"]


def test_a_batch_of_styles_becomes_several_files(comfy, tiny):
    style = measured(comfy, tiny, batch=3, kind="each")
    saved = comfy.call("AdaINSaveStyle", style=style, filename_prefix="s")[0].split("\n")
    assert [comfy.call("AdaINLoadStyle", style=name)[0].count for name in saved] == [1, 1, 1]


def thumbnail(style):
    """What the server gives the browser."""
    from aiohttp import web
    from server import PromptServer

    handler = PromptServer.instance.routes.handlers["/adain/thumbnail"]
    return asyncio.run(handler(web.Request(query={"style": style})))


def test_the_browser_gets_the_thumbnail_of_a_style(comfy, tiny):
    (name,) = comfy.call("AdaINSaveStyle", style=measured(comfy, tiny), filename_prefix="s")
    answer = thumbnail(name)
    assert (answer.status, answer.content_type) == (200, "image/jpeg")
    with Image.open(io.BytesIO(answer.body)) as shown:
        whole = shown.copy()
    reference = to_pil(Picture(image().movedim(-1, 1))).resize(whole.size)
    assert np.abs(np.asarray(whole, float) - np.asarray(reference, float)).mean() < 20


def test_of_what_is_not_listed_or_has_no_thumbnail_it_gets_a_sentence(comfy, tiny):
    import folder_paths

    style = replace(measured(comfy, tiny), image=None)
    style.save(Path(folder_paths.models_dir) / "adain_styles" / "bare.safetensors")
    for name, said in (("../adain/tiny.safetensors", "not there"), ("bare.safetensors", "has no thumbnail")):
        answer = thumbnail(name)
        assert answer.status == 404 and said in answer.text


@pytest.mark.parametrize("prefix", ["oil/", "oil/.", "oil/waves/", "oil/waves", "", " ", "."])
def test_nothing_is_overwritten_whatever_the_prefix(comfy, tiny, prefix):
    first, second = (
        comfy.call("AdaINSaveStyle", style=measured(comfy, tiny), filename_prefix=prefix)[0] for _ in range(2)
    )
    assert first != second
    for name in (first, second):
        assert comfy.call("AdaINLoadStyle", style=name)[0].space == "tiny"


def test_a_subfolder_may_be_named_with_slashes_of_either_kind(comfy, tiny, monkeypatch):
    import folder_paths

    (name,) = comfy.call("AdaINSaveStyle", style=measured(comfy, tiny), filename_prefix="oil/waves")
    assert comfy.call("AdaINLoadStyle", style=name.replace("/", "\\"))[0].space == "tiny"
    monkeypatch.setattr(folder_paths, "get_filename_list", lambda _: ["oil\\waves.safetensors"])
    monkeypatch.setattr(folder_paths, "get_full_path_or_raise", lambda _, listed: listed)
    style_path = sys.modules[comfy.nodes["AdaINLoadStyle"].__module__].style_path
    assert str(style_path("oil/waves.safetensors")) == "oil\\waves.safetensors"


def test_nothing_is_written_or_read_outside_the_folder(comfy, tiny, tmp_path):
    with pytest.raises(Exception, match="outside the output folder"):
        comfy.call("AdaINSaveStyle", style=measured(comfy, tiny), filename_prefix="../../evil")
    assert not list(tmp_path.rglob("evil*"))
    answer = comfy.nodes["AdaINLoadStyle"].validate_inputs(style="../adain/tiny.safetensors")
    assert "'style' is '../adain/tiny.safetensors'" in answer
    with pytest.raises(ValueError, match="not there"):
        comfy.call("AdaINLoadStyle", style="../adain/tiny.safetensors")


def test_a_style_of_another_model_is_refused_in_blend(comfy, tiny):
    other = load(comfy, save_model("other.safetensors", space="other"))
    (name,) = comfy.call("AdaINSaveStyle", style=measured(comfy, other), filename_prefix="s")
    (style,) = comfy.call("AdaINLoadStyle", style=name)
    (features,) = comfy.call("AdaINEncode", model=tiny, image=image())
    with pytest.raises(ValueError, match="'style' belongs to the space other"):
        comfy.call("AdaINBlend", features=features, style=style)


def test_a_file_that_is_no_style_is_named(comfy, tiny):
    import folder_paths

    (Path(folder_paths.models_dir) / "adain_styles").mkdir(parents=True)
    (Path(folder_paths.models_dir) / "adain_styles" / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"broken\.safetensors"):
        comfy.call("AdaINLoadStyle", style="broken.safetensors")


@pytest.mark.parametrize("method", ["luminance", "covariance", "histogram"])
def test_colors_become_those_of_the_content_and_opacity_stays(comfy, method):
    content, stylized = image(48, 48) * 0.4, 0.5 + 0.5 * image(48, 48, seed=1, batch=2, channels=4)
    (result,) = comfy.call("AdaINPreserveColor", content=content, stylized=stylized, method=method)
    assert torch.equal(result[..., 3], stylized[..., 3])

    def chroma(picture):
        return (picture[..., :3] - picture[..., :3].mean(dim=-1, keepdim=True)).mean(dim=(1, 2))

    assert (chroma(result) - chroma(content)).abs().max() < (chroma(stylized) - chroma(content)).abs().max()


def test_pictures_that_do_not_fit_are_named_with_their_sizes(comfy):
    with pytest.raises(ValueError, match="'content' is 50 x 40, but 'stylized' 56 x 40"):
        comfy.call("AdaINPreserveColor", content=image(40, 50), stylized=image(), method="luminance")
    for count in (1, 3):
        with pytest.raises(ValueError, match=f"'content' is a batch of 2, but 'stylized' of {count}"):
            comfy.call("AdaINPreserveColor", content=image(batch=2), stylized=image(batch=count), method="histogram")
