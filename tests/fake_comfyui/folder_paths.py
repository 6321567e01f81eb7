"""ComfyUI's folders, below a directory that the test chooses with :func:`use`."""

from __future__ import annotations

import os
from pathlib import Path

models_dir = ""
folder_names_and_paths: dict[str, tuple[list[str], set[str]]] = {}
_base = Path()


def use(base: Path) -> None:
    """Forget everything and live below ``base`` from now on."""
    global models_dir, _base
    models_dir, _base = str(base / "models"), base
    folder_names_and_paths.clear()
    for name in ("input", "output", "temp"):
        (base / name).mkdir(parents=True, exist_ok=True)


def get_input_directory() -> str:
    return str(_base / "input")


def get_temp_directory() -> str:
    return str(_base / "temp")


def add_model_folder_path(folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
    paths, _ = folder_names_and_paths.setdefault(folder_name, ([], set()))
    if full_folder_path not in paths:
        paths.insert(0 if is_default else len(paths), full_folder_path)


def get_folder_paths(folder_name: str) -> list[str]:
    return folder_names_and_paths[folder_name][0][:]


def get_filename_list(folder_name: str) -> list[str]:
    paths, suffixes = folder_names_and_paths[folder_name]
    files = {f.relative_to(p).as_posix() for p in map(Path, paths) for f in p.rglob("*") if f.is_file()}
    return sorted(f for f in files if not suffixes or os.path.splitext(f)[1].lower() in suffixes)


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    filename = os.path.relpath(os.path.join("/", filename), "/")
    for folder in folder_names_and_paths[folder_name][0]:
        if os.path.isfile(os.path.join(folder, filename)):
            return os.path.join(folder, filename)
    raise FileNotFoundError(f"Model in folder '{folder_name}' with filename '{filename}' not found.")


def get_save_image_path(filename_prefix: str, output_dir: str) -> tuple[str, str, int, str, str]:
    folder = os.path.abspath(os.path.join(output_dir, os.path.dirname(os.path.normpath(filename_prefix))))
    if os.path.commonpath((output_dir, folder)) != output_dir:
        raise Exception("Saving image outside the output folder is not allowed.")
    os.makedirs(folder, exist_ok=True)
    name = os.path.basename(os.path.normpath(filename_prefix))
    length = len(os.path.basename(filename_prefix))  # not that of the name, as in ComfyUI
    counts = [f[length + 1 :].split("_")[0] for f in os.listdir(folder) if f[: length + 1] == f"{name}_"]
    counter = max([int(count) for count in counts if count.isdigit()], default=0) + 1
    return folder, name, counter, os.path.relpath(folder, output_dir), filename_prefix
