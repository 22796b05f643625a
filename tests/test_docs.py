"""The documentation site builds without the network, and what it shows is true of the code."""

import importlib.util
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer

from xbayes.cli.app import app
from xbayes.config.reader import load_config
from xbayes.config.schema import Config

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if not p.relative_to(DOCS).parts[0].startswith("_"))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SITE = ("sphinx", "myst_parser", "furo")


def module(name: str):
    """A module of the site, which is no package."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", DOCS / f"{name}.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


generated, architecture = module("generated"), module("architecture")


def snippets(language: str) -> list[tuple[str, str]]:
    """The code of the pages, with the page it is from."""
    return [
        (str(page.relative_to(DOCS)), text)
        for page in PAGES
        for found, text in FENCE.findall(page.read_text())
        if found == language
    ]


def commands_in(text: str) -> list[list[str]]:
    """The words of every `xbayes COMMAND ...` in lines of a shell."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if "xbayes " in line]
    return [line[1:] for line in words if line and line[0].endswith("xbayes")]


class Links(HTMLParser):
    """Where a page points to, what it loads, and the places it has."""

    def __init__(self, text: str):
        super().__init__()
        self.to, self.loads, self.places = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if found.get("id"):
            self.places.add(found["id"])
        if tag == "a" and found.get("href"):
            self.to.append(found["href"])
        if tag in ("script", "img", "iframe") and found.get("src"):
            self.loads.append(found["src"])
        if tag == "link" and found.get("rel") == "stylesheet":
            self.loads.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as make docs does."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    made = subprocess.run(
        [*command, "-d", str(out / "trees"), str(DOCS), str(out / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    pages = sorted((out / "html").rglob("*.html"))
    return out / "html", {page: Links(page.read_text()) for page in pages}


def broken(folder: Path, pages: dict[Path, Links]) -> list[str]:
    """Links to a page, or a place in a page, that is not there."""
    found = []
    for page, links in pages.items():
        for link in [*links.to, *links.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            there = target.is_file() and target.is_relative_to(folder.resolve())
            place = unquote(parts.fragment)
            known = target not in pages or not place or place in pages[target].places
            if not (there and known):
                found.append(f"{page.name}: {link}")
    return found


def test_no_link_is_broken(site):
    folder, pages = site
    assert len(pages) > 20
    pages = {page.resolve(): links for page, links in pages.items()}
    assert broken(folder, pages) == []


def test_a_broken_link_is_seen(site, tmp_path):
    """The control of the test above."""
    page = tmp_path / "page.html"
    page.write_text(
        '<a href="nowhere.html">x</a> <a href="#no">y</a> <a href="#yes" id="yes">z</a>'
    )
    links = {page.resolve(): Links(page.read_text())}
    assert broken(tmp_path, links) == ["page.html: nowhere.html", "page.html: #no"]


def test_pages_load_nothing_from_elsewhere(site):
    _, pages = site
    loads = {link for links in pages.values() for link in links.loads}
    assert loads and not [link for link in loads if urlsplit(link).netloc or urlsplit(link).scheme]


def test_formulas_are_mathml_and_all_keys_are_shown(site):
    folder, _ = site
    mathematics = (folder / "mathematics.html").read_text()
    assert mathematics.count("<math") > 50 and "\\sum" not in mathematics
    shown = (folder / "_generated" / "config_keys.html").read_text()
    for key in generated.config_keys():
        assert f">{key.path}<" in shown.replace('<span class="pre">', ">").replace("</span>", "<")


def keys_of_schema(schema: dict, definitions: dict, prefix: str = "") -> set[str]:
    """Every key, from the JSON schema that pydantic makes: another way to the same names."""
    found = set()
    for name, about in schema.get("properties", {}).items():
        found.add(f"{prefix}{name}")
        for choice in [about, *about.get("anyOf", []), *about.get("allOf", [])]:
            if "$ref" in choice:
                inner = definitions[choice["$ref"].split("/")[-1]]
                found |= keys_of_schema(inner, definitions, f"{prefix}{name}.")
            values = choice.get("additionalProperties")
            if isinstance(values, dict) and "$ref" in values:
                inner = definitions[values["$ref"].split("/")[-1]]
                found |= keys_of_schema(inner, definitions, f"{prefix}{name}.NAME.")
    return found


def test_the_table_has_every_key_of_the_schema():
    schema = Config.model_json_schema()
    keys = list(generated.config_keys())
    assert {key.path for key in keys} == keys_of_schema(schema, schema["$defs"])
    assert len({key.path for key in keys}) == len(keys)
    assert not [key.path for key in keys if not key.description]
    assert not [key.path for key in keys if "any value" in key.kind and key.path != "sweep"]
    row = {key.path: key for key in keys}
    assert row["model.weights"].default == "matrix"
    assert row["posterior.chains"][1:3] == ("whole number", "4")
    assert row["features.NAME.expression"].default == "required"
    assert row["validation.well_characterised.at_least"].default == "2"


def test_every_command_and_column_has_its_help():
    text = generated.commands_page()
    for name, command in typer.main.get_command(app).commands.items():
        assert f"## xbayes {name}\n" in text
        for parameter in command.params:
            assert parameter.help, f"{name}: {parameter.name}"
            assert all(f"`{option}" in text for option in parameter.opts if option[0] == "-")
    columns = generated.columns_page()
    for name in ("p_A_lo", "prediction_set", "outlier_p", "p_spectrum_A", "combined_A", "vote"):
        assert f"| `{name}` |" in columns
    assert not re.findall(r"^\| `\w+` \|  \|", columns, re.MULTILINE)  # nothing without description


def told_commands() -> list[tuple[str, list[str]]]:
    found = [(page, words) for page, text in snippets("sh") for words in commands_in(text)]
    readme = re.findall(
        r"^ +(\.venv/bin/xbayes .*)$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    return found + [("README.md", words) for line in readme for words in commands_in(line)]


@pytest.mark.parametrize(("page", "words"), told_commands(), ids=lambda value: str(value)[:60])
def test_commands_of_the_pages_are_understood(page, words):
    name, *arguments = words
    command = typer.main.get_command(app).commands[name]
    with command.make_context(name, arguments):
        pass


def test_a_wrong_command_is_not_understood():
    """The control of the test above."""
    command = typer.main.get_command(app).commands["classify"]
    with pytest.raises(Exception, match="prio"):
        command.make_context("classify", ["runs/demo", "new.fits", "--prio", "estimate"])


@pytest.mark.parametrize(("page", "text"), snippets("yaml"), ids=lambda value: value[:30])
def test_configs_of_the_pages_load(page, text, tmp_path):
    """A part of a config is read on top of the demo's."""
    if "taxonomy:" in text and "features:" in text:  # whole
        pass
    elif "extends:" in text:
        text = text.replace("extends: my_sources.yaml", "extends: demo.yaml")
    else:
        text = f"extends: demo.yaml\n{text}"
    (tmp_path / "demo.yaml").write_text((ROOT / "configs" / "demo.yaml").read_text())
    (tmp_path / "part.yaml").write_text(text)
    assert load_config(tmp_path / "part.yaml").features


@pytest.mark.parametrize(("page", "text"), snippets("python"), ids=lambda value: value[:30])
def test_python_of_the_pages_runs(page, text):
    exec(compile(text, page, "exec"), {})


def test_the_picture_of_the_rooms_is_that_of_todays_imports():
    assert (DOCS / "architecture.dot").read_text() == architecture.dot_text(), "run make picture"
    assert (DOCS / "architecture.svg").is_file()


def test_every_page_is_plain_and_short():
    for page in PAGES:
        assert max(map(len, page.read_text().splitlines())) <= 160, page
