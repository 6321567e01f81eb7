"""What is measured of the study's models, and what counts as bearing a claim out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adain_core.images.color import luminance
from adain_core.measure.correlation import edge_correlation
from adain_core.measure.losses import psnr
from adain_core.models.weights import load_weights
from adain_core.networks.encoder import STYLE_TAPS
from adain_core.pipeline.transfer import StyleTransfer
from tests.training.runs import pictures
from training import claims
from training.claims import CLAIMS, Claim, Finding
from training.command import TrainingError
from training.data import find_images
from training.gallery import Study
from training.laboratory import GatysNumbers, Laboratory, Numbers
from training.leakage import leakage
from training.pairs import Pairs, pair_paths


@pytest.fixture
def lab(data: Path, runs: Path) -> Laboratory:
    """The models of ``runs`` on four pairs."""
    paths = pair_paths(find_images(data / "content")[:2], find_images(data / "style")[:2])
    pairs = Pairs(paths, load_weights(data / "loss.safetensors").encoder, 32)
    return Laboratory(Study(runs, device="cpu"), pairs, iterations=4)


def test_numbers_are_means_over_the_pairs(lab: Laboratory, runs: Path) -> None:
    numbers = lab.numbers("concat-content")
    model = StyleTransfer.from_pretrained(
        runs / "concat-content" / "concat-content.safetensors", device="cpu", dtype="float32"
    )
    results = [(model(pair.content, pair.style), pair) for pair in lab.pairs]
    rebuilt = [(model(pair.content, pair.style, alpha=0.0), pair) for pair in lab.pairs]

    def mean(values: list[torch.Tensor]) -> float:
        return torch.stack(values).mean().item()

    assert len(results) == 4
    assert numbers.light == pytest.approx(mean([luminance(x).mean() for x, _ in results]), rel=1e-5)
    assert numbers.edges == pytest.approx(mean([edge_correlation(x, p.content)[0] for x, p in results]), rel=1e-4)
    assert numbers.rebuilt == pytest.approx(mean([psnr(x, p.content)[0] for x, p in rebuilt]), rel=1e-4)
    leaks = [leakage(lab.loss_network, x, p.style) for x, p in results]
    assert numbers.leakage == pytest.approx(sum(leaks) / 4, rel=1e-4)
    assert numbers.total_style == pytest.approx(sum(numbers.style.values())) and set(numbers.style) == set(STYLE_TAPS)


def test_photographs_are_measured_as_they_are(lab: Laboratory) -> None:
    means = dict.fromkeys(STYLE_TAPS, 0.0)
    for pair in lab.pairs:
        for tap, x in lab.loss_network(pair.content, STYLE_TAPS).items():
            off = x.mean(dim=(2, 3)) - pair.stats.mean[tap].flatten(1)
            spread = (x.var(dim=(2, 3), correction=0) + 1e-5).sqrt() - pair.stats.std[tap].flatten(1)
            means[tap] += (off.square().mean() + spread.square().mean()).item() / 4
    assert lab.photographs() == pytest.approx(means, rel=1e-3)
    assert lab.photographs(convention="euclidean")["relu1_1"] > lab.photographs()["relu1_1"]


def test_a_style_that_was_never_learned_does_not_count(lab: Laboratory, runs: Path) -> None:
    (runs / "norm-conditional" / "styles" / "1.png.safetensors").unlink()
    fewer = Pairs([paths for paths in lab.pairs.paths if paths[1].name == "0.png"], lab.loss_network, 32)
    expected = Laboratory(lab.study, fewer, 4).numbers("norm-conditional")
    assert lab.numbers("norm-conditional") == expected
    (runs / "norm-conditional" / "styles" / "0.png.safetensors").unlink()
    with pytest.raises(TrainingError, match="learned none"):
        Laboratory(lab.study, lab.pairs, 4).numbers("norm-conditional")


def test_a_decoder_with_its_style_inside_rebuilds_nothing(lab: Laboratory) -> None:
    numbers = lab.numbers("norm-batch")
    assert numbers.rebuilt != numbers.rebuilt and numbers.total_style > 0


def test_every_claim_is_measured(data: Path, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--every", "9", "--iterations", "2", "--loss-network", str(data / "loss.safetensors")]
    assert claims.main([*pictures(data), *few, "--runs", str(runs), "--out", str(tmp_path)]) == 0
    table = (tmp_path / "claims.md").read_text()
    assert capsys.readouterr().out == table
    lines = table.splitlines()[4:]
    assert [line.split(" | ")[0] for line in lines] == [f"| {claim.text}" for claim in CLAIMS]
    holds = [line.split("|")[-2].strip() for line in lines]
    # The encoders of VGG-19 are not on every machine.
    assert all(answer in ("yes", "no") for claim, answer in zip(CLAIMS, holds, strict=True) if "VGG" not in claim.text)


def test_what_is_missing_is_no_answer(lab: Laboratory, runs: Path) -> None:
    (runs / "pre-normalized" / "log.csv").write_text("step,content,style\n1,2,3\n")
    (runs / "add-style" / "add-style.safetensors").unlink()
    rows = {claim.text: claims.row_of(claim, lab) for claim in CLAIMS}
    assert rows["Its curves are rougher."].endswith("| not measured: the log of pre-normalized is too short | |\n")
    assert rows["They copy the style's picture."].endswith("| not measured: there is no add-style | |\n")


class Answers:
    """A laboratory that has its numbers already."""

    iterations = 300

    def __init__(self, **numbers: Numbers) -> None:
        self._numbers = {name.replace("_", "-"): value for name, value in numbers.items()}
        self.logs: dict[tuple[str, str], list[float]] = {}
        self.beside: dict[str, GatysNumbers] = {}

    def numbers(self, model: str) -> Numbers:
        return self._numbers[model]

    def photographs(self) -> dict[str, float]:
        return dict.fromkeys(STYLE_TAPS, 4.0)

    def log(self, model: str, term: str) -> list[float]:
        return self.logs[model, term]

    def optimized(self, style: str, _: int) -> GatysNumbers:
        return self.beside[style]


def some(shallow: float = 1.0, deep: float = 1.0, **other: float) -> Numbers:
    """Numbers of which a test needs only some."""
    style = dict(zip(STYLE_TAPS, (shallow, 1.0, 1.0, deep), strict=True))
    values = {"content": 1.0, "edges": 0.5, "leakage": 0.2, "light": 0.5, "rebuilt": 20.0, **other}
    return Numbers(style=style, **values)


def found(text: str, lab: Answers) -> Finding:
    (claim,) = (claim for claim in CLAIMS if claim.text.startswith(text))
    assert isinstance(claim, Claim)
    return claim.test(lab)


def test_colors_alone_are_taken_over_where_the_shallow_loss_goes_and_the_deep_one_stays() -> None:
    finding = found("With a style weight of 1", Answers(style_weight_1=some(shallow=1, deep=3)))
    assert finding.holds and "25% is left at relu1_1, 75% at relu4_1" in finding.measured
    assert not found("With a style weight of 1", Answers(style_weight_1=some(shallow=1, deep=1))).holds
    assert not found("With a style weight of 1", Answers(style_weight_1=some(shallow=3, deep=3))).holds


@pytest.mark.parametrize(("last", "holds"), [(16.0, True), (17.0, False), (18.0, False)])
def test_what_falls_with_the_weight_falls_at_every_step(last: float, holds: bool) -> None:
    rebuilt = {"style_weight_1": 21.0, "style_weight_5": 19.0, "plain": 17.0, "style_weight_20": last}
    lab = Answers(**{name: some(rebuilt=value) for name, value in rebuilt.items()})
    finding = found("The more weight", lab)
    assert finding == Finding(f"PSNR in dB at 1, 5, 10, 20: 21.0, 19.0, 17.0, {last}", holds)


@pytest.mark.parametrize(
    ("claim", "model", "bears_out", "does_not"),
    [
        ("The content's maps, concatenated", "concat_content", {"edges": 0.6}, {"edges": 0.51}),
        ("The content's maps, added", "add_content", {"content": 1.2}, {"content": 1.7}),
        ("Its pictures are darker", "pre_normalized", {"light": 0.4}, {"light": 0.495}),
        ("Batch normalization", "norm_batch", {"deep": 6.0}, {"deep": 4.0}),
    ],
)
def test_models_are_compared_with_the_plain_one(
    claim: str, model: str, bears_out: dict[str, float], does_not: dict[str, float]
) -> None:
    assert found(claim, Answers(plain=some(), **{model: some(**bears_out)})).holds
    assert not found(claim, Answers(plain=some(), **{model: some(**does_not)})).holds


def test_all_skips_from_the_style_have_to_copy() -> None:
    copies, keeps = some(leakage=0.6, deep=0.2), some(leakage=0.25, deep=1.2)
    for text in ("Skips from the style", "They copy"):
        assert found(text, Answers(plain=some(), add_style=copies, concat_style=copies)).holds
        assert not found(text, Answers(plain=some(), add_style=keeps, concat_style=copies)).holds


def test_losses_are_compared_at_the_end_of_the_training() -> None:
    lab = Answers()
    for term in ("content", "style"):
        lab.logs["plain", term] = [9.0] * 18 + [1.0, 3.0]
        lab.logs["pre-normalized", term] = [9.0] * 18 + [10.0, 14.0]
    finding = found("With pre-normalized input", lab)
    assert finding == Finding("content 6.0 times, style 6.0 times the plain ones", True)
    lab.logs["pre-normalized", "style"] = lab.logs["pre-normalized", "content"] = [80.0] * 18 + [4.0, 4.0]
    assert not found("With pre-normalized input", lab).holds


def test_rough_curves_jump_in_the_second_half() -> None:
    lab = Answers()
    lab.logs["plain", "style"] = [1.0, 9.0, 1.0, 9.0, 2.0, 2.0, 2.0, 2.0]
    lab.logs["pre-normalized", "style"] = [3.0, 3.0, 3.0, 3.0, 2.0, 3.0, 2.0, 3.0]
    assert found("Its curves", lab).holds
    lab.logs["pre-normalized", "style"], lab.logs["plain", "style"] = lab.logs["plain", "style"], [1.0, 2.0] * 4
    assert not found("Its curves", lab).holds


@pytest.mark.parametrize(
    ("edges", "leakage", "holds"),
    [((0.55, 0.5), (0.2, 0.45), True), ((0.55, 0.65), (0.2, 0.45), False), ((0.55, 0.5), (0.4, 0.45), False)],
)
def test_the_optimization_fails_where_it_loses_outlines_and_copies(
    edges: tuple[float, float], leakage: tuple[float, float], holds: bool
) -> None:
    lab = Answers()
    lab.beside["style_watercolour.jpg"] = GatysNumbers((0.6, 0.77), (0.5, 0.6), 90)
    lab.beside["style_woodcut.jpg"] = GatysNumbers(edges, leakage, 500)
    assert found("Gatys' optimization fails", lab).holds == holds
    assert found("AdaIN is more than", lab) == Finding("300 iterations take 90 times as long", False)


def test_gatys_and_adain_are_measured_on_the_same_pair(lab: Laboratory) -> None:
    beside = lab.optimized("1.png", 0)
    model = lab.model("plain")
    pair = lab.pairs[1]
    assert pair.name == "0_1"
    result = model(pair.content, pair.style)
    assert beside.edges[0] == pytest.approx(edge_correlation(result, pair.content).item(), abs=1e-5)
    assert beside.leakage[0] == pytest.approx(leakage(lab.loss_network, result, pair.style), abs=1e-5)
    assert beside.edges[1] > beside.edges[0] and beside.slower > 0  # four iterations from the content change little
