"""The notebooks run, cell by cell, on small catalogues, and show their figures."""

import ast
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xbayes.errors import InputError
from xbayes.figures.notebook import Picture, show

jupytext = pytest.importorskip("jupytext")

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]_*.py"))
QUICK = ["validation.bootstrap=20", "validation.folds=2", "validation.inner_folds=2"]

# As in Jupyter, doubts about a catalogue are shown and do not stop the notebook.
pytestmark = pytest.mark.filterwarnings("ignore::xbayes.errors.XbayesWarning")


def code_cells(path: Path):
    return [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]


def execute(number: int, **parameters) -> dict:
    """Run the cells as Jupyter does; the variables at the end, and "pictures", the figures shown.

    The parameters replace those of the tagged cell. XBAYES_PICTURES names a folder for the figures.
    """
    (path,) = (path for path in NOTEBOOKS if path.stem.startswith(f"{number}_"))
    space: dict = {"__name__": "__main__"}
    pictures: list[Picture] = []
    for cell in code_cells(path):
        tree = ast.parse(cell.source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, str(path), "exec"), space)
        shown = last and eval(compile(ast.Expression(last.value), str(path), "eval"), space)
        if isinstance(shown, Picture):
            pictures.append(shown)
        if "parameters" in cell.metadata.get("tags", []):
            assert set(parameters) <= set(space), "the notebook has no such parameter"
            space.update(parameters)
    folder = os.environ.get("XBAYES_PICTURES")
    for n, picture in enumerate(pictures if folder else ()):
        (Path(folder) / f"{path.stem}_{n}.png").write_bytes(picture.png)
    return space | {"pictures": pictures}


def check_pictures(space: dict, expected: int) -> None:
    """As many figures as expected, and none of them blank."""
    assert len(space["pictures"]) == expected
    for picture in space["pictures"]:
        image = np.asarray(Image.open(io.BytesIO(picture._repr_png_())).convert("L"))
        assert (image < 250).mean() > 0.01


@pytest.fixture
def no_report(monkeypatch):
    """Runs without figures and report, which the notebook does not read."""
    monkeypatch.setattr("xbayes.tasks.run.write_figures_and_report", lambda *_: None)


@pytest.mark.slow
def test_classify_your_catalogue(tmp_path, no_report):
    space = execute(1, folder=tmp_path, n_known=700, n_new=300, settings=QUICK)
    check_pictures(space, 4)
    assert len(space["classified"]) == 300 and "Class" not in space["classified"].colnames
    assert space["posterior"].shape == (700, 4)
    np.testing.assert_allclose(space["posterior"].sum(1), 1)
    assert space["estimates"][0].proportions.sum() == pytest.approx(1)


@pytest.mark.slow
def test_read_a_track(demo):
    space = execute(2, run=demo.folder, catalog=demo.catalog)
    check_pictures(space, 3)
    track = space["surest"].track
    log_odds = np.log(track.posterior[0] / track.posterior[track.prediction])
    assert space["surest"].table["ln_odds_AGN"].sum() == pytest.approx(log_odds, abs=1e-6)
    # The notebook says that another prior leaves the contributions of the features unchanged.
    here, elsewhere = space["here"].track, space["elsewhere"].track
    np.testing.assert_allclose(elsewhere.contribution, here.contribution, atol=1e-12)
    assert not np.allclose(elsewhere.posterior, here.posterior)


@pytest.mark.slow
def test_detections_to_sources(tmp_path, no_report):
    space = execute(3, folder=tmp_path, n_known=500, n_new=400)
    check_pictures(space, 2)
    assert 0 < space["pooled"].meta["RHO"] < 1 and len(space["sources"]) == 400
    assert space["detections"]["name"].tolist() == space["new"]["name"].tolist()


@pytest.mark.slow
def test_bayesian_intervals(tmp_path, no_report):
    quick = [*QUICK, "posterior.method=laplace", "posterior.samples=20", "model.calibration=none"]
    space = execute(4, folder=tmp_path, n_few=250, n_many=600, settings=quick)
    check_pictures(space, 3)
    table = space["table"]
    assert np.all(table["p_XRB_lo"] <= table["p_XRB_hi"])
    width = {name: np.mean(space[name].predictions["p_XRB_hi"]) for name in ("few", "many")}
    low = {name: np.mean(space[name].predictions["p_XRB_lo"]) for name in ("few", "many")}
    assert width["many"] - low["many"] < width["few"] - low["few"]  # the notebook says that


@pytest.mark.slow
def test_published_figures(tmp_path):
    space = execute(
        5, folder=tmp_path, n_sources=600, largest=4, n_runs=2, data=None, settings=QUICK
    )
    check_pictures(space, 12)
    assert space["found"].criterion.bic.shape == (3, 2)
    assert space["clustered"].config.model.density == "published_clusters"


@pytest.mark.slow
def test_gallery(tmp_path):
    space = execute(
        6, folder=tmp_path, n_sources=500, largest=3, n_runs=2, sizes=(0.5, 1.0), settings=QUICK
    )
    check_pictures(space, 16)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_file_is_a_jupytext_pair_with_parameters_and_text(path):
    read = jupytext.read(path)
    assert read.metadata["jupytext"]["formats"] == "ipynb,py:percent"
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in read.cells) == 1
    assert read.cells[0].source.startswith("# ")
    assert sum(cell.cell_type == "markdown" for cell in read.cells) >= 4
    # The .ipynb that `make notebooks` writes has the same cells.
    again = jupytext.reads(jupytext.writes(read, "ipynb"), "ipynb")
    assert [cell.source for cell in again.cells] == [cell.source for cell in read.cells]


def imports(path: Path) -> set[str]:
    """The modules of xbayes that a notebook imports."""
    found = set()
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                found.add(node.module)
    return {name for name in found if name.split(".")[0] == "xbayes"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_only_the_public_interface_and_figures_are_imported(path):
    assert "xbayes" in imports(path)
    drawing = {module for module in imports(path) if module.startswith("xbayes.figures.")}
    assert imports(path) - drawing <= {"xbayes", "xbayes.simulate.catalog"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_arithmetic(path):
    """Numbers come from the package: the only operator is the / that joins paths."""
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.BinOp):
                assert isinstance(node.op, ast.Div), ast.unparse(node)
                assert isinstance(node.right, ast.Constant | ast.JoinedStr), ast.unparse(node)
                assert not isinstance(getattr(node.right, "value", ""), int | float)


def test_every_notebook_is_listed():
    listed = (ROOT / "notebooks" / "README.md").read_text()
    assert all(f"({path.name})" in listed for path in NOTEBOOKS)
    assert len(NOTEBOOKS) == 6


def test_the_message_for_a_figure_that_does_not_exist(tmp_path):
    (tmp_path / "sky.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"sky"):
        show(tmp_path / "skye.png")
