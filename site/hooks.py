"""The site's files: pages and pictures stay where the repository has them, under the same paths.

MkDocs calls these functions; see https://www.mkdocs.org/dev-guide/plugins/#events.
"""

from __future__ import annotations

import io
import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
COPIED = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "adain_core/LICENSES.md",
    "docs/*.md",
    "docs/*.jpg",
    "docs/*.png",
    "docs/looks-wrong/*",
    "training/results/NOTES.md",
    "training/results/claims.md",
    "training/results/*.png",
    "web/docs/*/en.md",
    "web/docs/*/*.jpg",
    "workflows/*.jpg",
    "workflows/examples/README.md",
    "workflows/examples/*.jpg",
]
ORT = ROOT / "site" / "node_modules" / "onnxruntime-web" / "dist"
# The two builds of onnxruntime-web that the demo chooses from, each a module and its WebAssembly.
ORT_FILES = [
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.bundle.min.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
]
DEMO_PICTURE_SIDE = 384
GALLERY_HEAD = """\
# Gallery

What the workflow templates give, with the small models that are part of the package and the
[example pictures](workflows/examples/README.md).

![Photographs in the styles of the pictures in their corners](docs/gallery.jpg)
"""
LINK = re.compile(r"(?<=\]\()(?!#|mailto:)([^)\s#]+)(?=[)#])")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lists the nodes' help pages under Nodes."""
    nodes = next(entry["Nodes"] for entry in config.nav if "Nodes" in entry)
    nodes += sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("web/docs/*/en.md"))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the repository's files, those of the demo, and the gallery."""
    paths = {path.relative_to(ROOT).as_posix(): path for pattern in COPIED for path in ROOT.glob(pattern)}
    paths |= {f"demo/{path.name}": path for path in (ROOT / "site" / "demo").iterdir()}
    paths |= {f"demo/onnx/{name}": ROOT / "out" / "onnx" / name for name in ("style.onnx", "paint.onnx")}
    paths |= {f"demo/ort/{name}": ORT / name for name in ORT_FILES}
    for uri, path in paths.items():
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing. Build the site with: make site")
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    for path in (ROOT / "workflows" / "examples").glob("*.jpg"):
        files.append(File.generated(config, f"demo/pictures/{path.name}", content=reduced(path)))
    files.append(File.generated(config, "gallery.md", content=gallery()))
    return files


def gallery() -> str:
    """The page of the workflow templates' previews."""
    templates = sorted(ROOT.glob("workflows/*.jpg"))
    sections = [f"## {path.stem}\n\n![{path.stem}](<workflows/{path.name}>)\n" for path in templates]
    return "\n".join([GALLERY_HEAD, *sections])


def reduced(path: Path) -> bytes:
    """A picture at the size at which the demo takes it."""
    with Image.open(path) as picture:
        factor = min(1, DEMO_PICTURE_SIDE / min(picture.size))
        small = picture.resize([round(factor * side) for side in picture.size], Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of the repository: to the site's page where there is one, else to the file on GitHub."""
    folder = PurePosixPath(page.file.src_uri).parent
    # A help page's links start where ComfyUI has all of them start, one folder up.
    start = folder.parent if folder.is_relative_to("web/docs") else folder
    blob = f"{config.repo_url}/blob/main/"

    def resolved(match: re.Match[str]) -> str:
        link = match[1]
        if link.startswith(blob):
            path = link.removeprefix(blob)
        elif "://" in link:
            return link
        else:
            path = normpath(start / link)
        return relpath(path, folder) if path in files.src_uris else blob + path

    return LINK.sub(resolved, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Docstrings name functions as Sphinx does."""
    return re.sub(r":(?:func|class|meth|mod|attr|data|exc):(?=<code>)", "", html)
