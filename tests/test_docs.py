"""The documentation builds without network, and its links, commands and snippets are correct."""

import ast
import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer
from ruamel.yaml import YAML

import xbayes
from xbayes.cli.app import app
from xbayes.compare.run import compare
from xbayes.config.enhance import EnhanceConfig, step_names
from xbayes.config.enhance_reader import enhance_config_of
from xbayes.config.reader import load_config
from xbayes.config.schema import Config
from xbayes.features.functions import NAMED
from xbayes.simulate.catalog import simulate
from xbayes.tasks.enhance import enhance

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if not p.relative_to(DOCS).parts[0].startswith("_"))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def module(name: str):
    """A module of the site, which is not a package."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", DOCS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


generated, architecture = module("generated"), module("architecture")


def snippets(language: str, pages=PAGES) -> list[tuple[str, str]]:
    """The code in a language, with the page it is from."""
    return [
        (str(page.relative_to(ROOT)), text)
        for page in pages
        for name, text in FENCE.findall(page.read_text())
        if name == language
    ]


def commands_in(text: str) -> list[list[str]]:
    """The words of every `xbayes COMMAND ...` in lines of a shell."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if "xbayes " in line]
    return [line[1:] for line in words if line and line[0].endswith("xbayes")]


class Links(HTMLParser):
    """The targets of the links of a page, the files it loads, and its anchors."""

    def __init__(self, text: str):
        super().__init__()
        self.to, self.loads, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if given.get("id"):
            self.anchors.add(given["id"])
        if tag == "a" and given.get("href"):
            self.to.append(given["href"])
        if tag in ("script", "img", "iframe") and given.get("src"):
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") == "stylesheet":
            self.loads.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder and the pages of the site, built as `make docs` does, but for one notebook only.

    `test_notebooks.py` runs every notebook, in a smaller size.
    """
    for name in ("sphinx", "myst_nb", "sphinx_design", "furo"):
        pytest.importorskip(name)
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    notebooks = {"XBAYES_NOTEBOOKS": "force", "XBAYES_NOTEBOOKS_SKIP": "*_[13-9]_*"}
    done = subprocess.run(
        [*command, "-d", str(out / "trees"), str(DOCS), str(out / "html")],
        env={**os.environ, **notebooks},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = sorted((out / "html").rglob("*.html"))
    return out / "html", {page.resolve(): Links(page.read_text()) for page in pages}


def broken(folder: Path, pages: dict[Path, Links]) -> list[str]:
    """Links to a page, or to an anchor of a page, that does not exist."""
    faults = []
    for page, links in pages.items():
        for link in [*links.to, *links.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            is_file = target.is_file() and target.is_relative_to(folder.resolve())
            anchor = unquote(parts.fragment)
            known = target not in pages or not anchor or anchor in pages[target].anchors
            if not (is_file and known):
                faults.append(f"{page.name}: {link}")
    return faults


@pytest.mark.slow
def test_the_site_has_no_broken_link_and_loads_nothing_from_the_network(site):
    folder, pages = site
    assert len(pages) > 20
    assert broken(folder, pages) == []
    loads = {link for links in pages.values() for link in links.loads}
    assert loads and not [link for link in loads if urlsplit(link).netloc or urlsplit(link).scheme]


@pytest.mark.slow
def test_a_notebook_is_executed_and_shows_its_figures_and_tables(site):
    folder, pages = site
    page = folder / "_generated" / "notebook_2_read_a_track.html"
    pictures = [link for link in pages[page.resolve()].loads if link.endswith(".png")]
    assert len(pictures) == 3 and all((page.parent / link).is_file() for link in pictures)
    text = page.read_text()
    assert "ln_odds_AGN" in text and "Traceback" not in text and "%cd" not in text


@pytest.mark.slow
def test_the_front_page_has_a_picture_a_start_in_both_languages_and_four_doors(site):
    folder, pages = site
    front = (folder / "index.html").read_text()
    assert any("track" in link for link in pages[(folder / "index.html").resolve()].loads)
    doors = ("tutorial.html", "howto/catalogue.html", "mathematics.html", "config_keys.html")
    for door in doors:
        assert re.search(rf'class="sd-[^"]*" href="[^"]*{door}"', front), door


def test_every_function_has_an_example_with_its_value():
    assert set(generated.FUNCTIONS) == set(NAMED)
    page = generated.functions_page()
    assert "| -13.7 |" in page and "| (empty) |" not in page
    for name, (arguments, meaning, example, _) in generated.FUNCTIONS.items():
        assert arguments and meaning and f"{name}(" in example


def test_a_broken_link_is_found(tmp_path):
    """The control of the test above."""
    page = tmp_path / "page.html"
    page.write_text(
        '<a href="nowhere.html">x</a> <a href="#no">y</a> <a href="#yes" id="yes">z</a>'
    )
    links = {page.resolve(): Links(page.read_text())}
    assert broken(tmp_path, links) == ["page.html: nowhere.html", "page.html: #no"]


@pytest.mark.slow
def test_the_site_shows_formulas_keys_and_the_public_api(site):
    folder, _ = site
    mathematics = (folder / "mathematics.html").read_text()
    assert mathematics.count("<math") > 50 and "\\sum" not in mathematics
    table = (folder / "_generated" / "config_keys.html").read_text()
    table = table.replace('<span class="pre">', ">").replace("</span>", "<")
    assert not [key.path for key in generated.config_keys() if f">{key.path}<" not in table]
    reference = (folder / "reference" / "python.html").read_text()
    names = {f"xbayes.{name}" for name in xbayes.__all__} - {"xbayes.Config"}
    names |= {f"xbayes.FittedRun.{name}" for name in vars(xbayes.FittedRun) if name[0] != "_"}
    assert not [name for name in names if f'id="{name}"' not in reference]


def keys_of_schema(schema: dict, definitions: dict, prefix: str = "") -> set[str]:
    """Every key, from the JSON schema of pydantic: another way to the same names."""
    keys = set()
    for name, about in schema.get("properties", {}).items():
        keys.add(f"{prefix}{name}")
        for choice in [about, *about.get("anyOf", []), *about.get("allOf", [])]:
            if "$ref" in choice:
                inner = definitions[choice["$ref"].split("/")[-1]]
                keys |= keys_of_schema(inner, definitions, f"{prefix}{name}.")
            values = choice.get("additionalProperties")
            if isinstance(values, dict) and "$ref" in values:
                inner = definitions[values["$ref"].split("/")[-1]]
                keys |= keys_of_schema(inner, definitions, f"{prefix}{name}.NAME.")
            items = choice.get("items")
            if isinstance(items, dict) and "$ref" in items:
                inner = definitions[items["$ref"].split("/")[-1]]
                keys |= keys_of_schema(inner, definitions, f"{prefix}{name}[N].")
    return keys


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


def test_the_pages_on_enhance_have_every_key_and_column():
    page = generated.enhance_keys_page()
    schema = EnhanceConfig.model_json_schema()
    keys = {key.path for key in generated.config_keys(EnhanceConfig)}
    assert keys == keys_of_schema(schema, schema["$defs"])
    assert not [key for key in keys if f"| `{key}` |" not in page]
    columns = generated.enhance_columns_page()
    for name in (
        "gal_b",
        "identified_class",
        "covered_panstarrs",
        "lt_ratio",
        "host_ulx",
        "nh_galactic",
    ):
        assert f"| `{name}` |" in columns
    assert not re.findall(r"^\| `\w+` \|  \|", columns, re.MULTILINE)


def keys_in(config: dict, prefix: str = "") -> set[str]:
    """The keys that a config sets; the names of features and categories become NAME."""
    keys = set()
    for name, value in config.items():
        path = prefix + ("NAME" if prefix in ("features.", "categories.") else name)
        keys |= {path} | (keys_in(value, f"{path}.") if isinstance(value, dict) else set())
    return keys


def test_every_key_is_used_by_a_shipped_config_or_explained_in_a_how_to_page():
    """A page says when a key helps, under its full name, unless a config shows its use."""
    files = (ROOT / "configs").glob("*.yaml")
    shown = set().union(*(keys_in(YAML(typ="safe").load(file)) for file in files))
    pages = "".join(page.read_text() for page in (DOCS / "howto").glob("*.md"))
    named = set(re.findall(r"`([\w.\[\]]+)(?:: [\w.]+)?`", pages)) | {
        key for _, text in snippets("yaml") for key in keys_in(YAML(typ="safe").load(text))
    }
    leaves = {key.path for key in generated.config_keys() if "section" not in key.kind}
    assert leaves - shown - named == set()
    assert not {"model.clusters.steps", "posterior.warmup"} & shown  # the pages are needed


def test_the_experiments_that_the_pages_cite_exist():
    options = (DOCS / "howto" / "options.md").read_text()
    last_cells = re.findall(r"\| ([^|]+) \|$", options, re.MULTILINE)
    names = {name for cell in last_cells for name in re.findall(r"^`(\w+)`|, `(\w+)`$", cell)}
    names = {name for pair in names for name in pair if name}
    pages = "".join(page.read_text() for page in PAGES)
    paths = set(re.findall(r"`(experiments/\w+/README\.md)`", pages))
    assert len(names) > 8 and len(paths) > 5
    paths |= {f"experiments/{name}/README.md" for name in names}
    assert not [path for path in paths if not (ROOT / path).is_file()]


def test_every_command_and_column_is_described():
    text = generated.commands_page()
    for name, command in typer.main.get_command(app).commands.items():
        assert f"## xbayes {name}\n" in text
        for parameter in command.params:
            assert parameter.help, f"{name}: {parameter.name}"
            assert all(f"`{option}" in text for option in parameter.opts if option[0] == "-")
    columns = generated.columns_page()
    for name in ("p_A_lo", "prediction_set", "outlier_p", "p_spectrum_A", "combined_A", "vote"):
        assert f"| `{name}` |" in columns
    assert not re.findall(r"^\| `\w+` \|  \|", columns, re.MULTILINE)  # no description is empty


def written_commands() -> list[tuple[str, list[str]]]:
    """The commands in the pages and in README.md."""
    written = [(page, words) for page, text in snippets("sh") for words in commands_in(text)]
    readme = (ROOT / "README.md").read_text()
    lines = re.findall(r"^ +(\.venv/bin/xbayes .*)$", readme, re.MULTILINE)
    return written + [("README.md", words) for line in lines for words in commands_in(line)]


@pytest.mark.parametrize(("page", "words"), written_commands(), ids=lambda value: str(value)[:60])
def test_commands_of_the_pages_parse(page, words):
    name, *arguments = words
    command = typer.main.get_command(app).commands[name]
    with command.make_context(name, arguments):
        pass


def test_a_wrong_command_does_not_parse():
    """The control of the test above."""
    command = typer.main.get_command(app).commands["classify"]
    with pytest.raises(Exception, match="prio"):
        command.make_context("classify", ["runs/demo", "new.fits", "--prio", "estimate"])


@pytest.mark.parametrize(
    ("page", "text"), snippets("yaml", [*PAGES, ROOT / "README.md"]), ids=lambda value: value[:30]
)
def test_configs_of_the_pages_load(page, text, tmp_path):
    """A part of a config extends that of the demo."""
    given = YAML(typ="safe").load(text)
    if set(given) & set(step_names()):
        assert enhance_config_of(given)
        return
    if "extends:" in text:
        text = text.replace("extends: my_sources.yaml", "extends: demo.yaml")
    elif not ("taxonomy:" in text and "features:" in text):
        text = f"extends: demo.yaml\n{text}"
    (tmp_path / "demo.yaml").write_text((ROOT / "configs" / "demo.yaml").read_text())
    (tmp_path / "part.yaml").write_text(text)
    assert load_config(tmp_path / "part.yaml").features


# Packages that can be called.
PUBLIC = {"xbayes.compare": compare, "xbayes.enhance": enhance, "xbayes.simulate": simulate}


def bind_calls(text: str) -> list[str]:
    """The calls of the public API in a snippet, each checked against the signature."""
    calls = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        owner, _, member = name.partition(".")
        arguments = [None] * len(node.args)
        if owner == "fit" and member.isidentifier():
            function, arguments = getattr(xbayes.FittedRun, member), [None, *arguments]
        elif owner == "xbayes" and member.isidentifier():
            function = PUBLIC.get(name) or getattr(xbayes, member)
        else:
            continue
        keywords = {keyword.arg: None for keyword in node.keywords}
        inspect.signature(function).bind(*arguments, **keywords)
        calls.append(name)
    return calls


def test_calls_of_the_public_api_in_the_pages_have_the_right_arguments():
    """The examples of the docstrings run in test_doctests.py; here only signatures are checked."""
    pages = snippets("python", [*PAGES, ROOT / "README.md"])
    calls = {name for _, text in pages for name in bind_calls(text)}
    functions = {"run", "load", "sources", "select_k", "learning_curve", "simulate", "compare"}
    functions |= {"init", "send", "fetch", "enhance"}
    methods = {"classify", "classify_file", "explain", "counts", "suggest"}
    assert {f"xbayes.{n}" for n in functions} | {f"fit.{n}" for n in methods} <= calls


@pytest.mark.parametrize("wrong", ["fit.classify('a', 'b')", "xbayes.run()", "fit.classfy('a')"])
def test_a_call_with_wrong_arguments_is_found(wrong):
    """The control of the test above."""
    with pytest.raises((TypeError, AttributeError)):
        bind_calls(wrong)


@pytest.mark.slow
def test_the_snippet_with_arrays_runs():
    (text,) = (text for _, text in snippets("python") if "import numpy" in text)
    names = {}
    exec(compile(text, "densities.md", "exec"), names)
    assert names["mixture"].predict_proba(names["x"]).shape == (200, 2)


def test_the_picture_of_the_rooms_shows_the_imports():
    assert (DOCS / "architecture.dot").read_text() == architecture.dot_text(), "run make picture"
    assert (DOCS / "architecture.svg").is_file()


def test_the_lines_of_the_pages_are_short():
    for page in PAGES:
        prose = [line for line in page.read_text().splitlines() if not line.startswith("|")]
        assert max(map(len, prose)) <= 160, page
