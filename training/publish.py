"""Upload a run's result with a model card to a repository on the Hugging Face Hub.

    python -m training.publish RUN [--repo OWNER/NAME] [--license ID] [--private]

Log in first (``hf auth login`` or HF_TOKEN); HF_ENDPOINT names another server. What goes up: the .safetensors files of
the run and its styles/, README.md with what the files say of themselves, log.csv and the curves. Samples stay here,
since they show the training images.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, ModelCardData
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from adain_core.models.weights import Weights, load_weights
from adain_core.runtime.environment import repository

from .command import TrainingError, run_command

# huggingface_hub has used several HTTP libraries; the error that its own one extends covers what the network does.
_HTTP_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]
_RECORDS = ("log.csv", "validation.csv", "curves.png")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.publish", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a training run")
    parser.add_argument(
        "--repo", default=repository(), metavar="OWNER/NAME", help="made if it does not exist (default: %(default)s)"
    )
    parser.add_argument("--license", help="SPDX identifier (default: that of the weights file)")
    parser.add_argument("--private", action="store_true", help="make a private repository")
    return parser.parse_args(argv)


def model_card(models: Mapping[str, Weights], license_id: str | None) -> ModelCard:
    """README.md: how to use the files, and what they say of themselves."""
    data = ModelCardData(
        license=license_id,
        library_name="adain-style-transfer",
        pipeline_tag="image-to-image",
        tags=["style-transfer", "adain"],
    )
    sections = []
    for name, weights in models.items():
        lines = [f"- kind: {weights.kind}", f"- space: `{weights.space}`"]
        if weights.decoder:
            lines.append(f"- decoder: {weights.decoder.skips}")
        lines += [f"- {key}: `{value}`" for key, value in training_of(name, weights).items()]
        sections.append("\n".join([f"## {name}\n", *lines]))
    use = "Put the .safetensors files into ComfyUI's `models/adain` folder, or name one after `--model`:"
    command = f"```\npython -m adain_core stylize photo.jpg painting.jpg -o out.png --model {next(iter(models))}\n```"
    intro = f"# Arbitrary style transfer by Adaptive Instance Normalization\n\n{use}\n\n{command}"
    return ModelCard("\n\n".join([f"---\n{data.to_yaml()}\n---\n", intro, *sections]) + "\n")


def training_of(name: str, weights: Weights) -> dict[str, object]:
    """What a weights file says of its training; empty if it says nothing.

    Raises:
        TrainingError: what it says is damaged.
    """
    try:
        return dict(json.loads(weights.info.get("training", "{}")))
    except (ValueError, TypeError) as error:
        raise TrainingError(
            f"What {name} says of its training is damaged ({error}); write it again with training.fit --resume."
        ) from error


def publish(args: argparse.Namespace) -> None:
    files = sorted(args.run.glob("*.safetensors"))
    if not files:
        raise TrainingError(f"{args.run} holds no .safetensors file; name the folder of a run that has a result.")
    models = {path.name: load_weights(path) for path in files}
    license_id = args.license or next((w.info["license"] for w in models.values() if "license" in w.info), None)
    if license_id is None:
        raise TrainingError("The weights name no license; name one with --license, such as mit or cc-by-nc-4.0.")
    records = [args.run / name for name in _RECORDS if (args.run / name).exists()]
    uploads = [*files, *sorted(args.run.glob("styles/**/*.safetensors")), *records]
    operations = [CommitOperationAdd(str(path.relative_to(args.run)), path) for path in uploads]
    card = str(model_card(models, license_id)).encode()
    operations.append(CommitOperationAdd("README.md", card))
    api = HfApi()
    try:
        api.create_repo(args.repo, private=args.private, exist_ok=True)
        commit = api.create_commit(args.repo, operations, commit_message=f"Upload {', '.join(models)}")
    except (_HTTP_ERROR, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TrainingError(
            f"{args.repo} cannot be filled: {reason} Check the name, your login and the network."
        ) from error
    print(commit.commit_url)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(publish, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
