"""The notebooks run, cell by cell, on small catalogues, and end with figures."""

import ast
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xbayes.figures.notebook import Picture, show
from xbayes.types import InputError

jupytext = pytest.importorskip("jupytext")

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]_*.py"))
QUICK = ["validation.bootstrap=20"]


def code_cells(path: Path):
    return [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]


def execute(path: Path, parameters: dict) -> tuple[dict, list[Picture]]:
    """Run the cells as Jupyter does; what is shown below them, where it is a figure.

    Parameters replace those of the cell tagged so. XBAYES_PICTURES names a folder to keep them.
    """
    space: dict = {"__name__": "__main__"}
    pictures = []
    for cell in code_cells(path):
        tree = ast.parse(cell.source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, str(path), "exec"), space)
        shown = last and eval(compile(ast.Expression(last.value), str(path), "eval"), space)
        if isinstance(shown, Picture):
            pictures.append(shown)
        if "parameters" in cell.metadata.get("tags", []):
            assert set(parameters) <= set(space), "a parameter that the notebook does not have"
            space.update(parameters)
    kept = os.environ.get("XBAYES_PICTURES")
    for n, picture in enumerate(pictures if kept else ()):
        (Path(kept) / f"{path.stem}_{n}.png").write_bytes(picture.png)
    return space, pictures


def drawn(pictures: list[Picture], at_least: int) -> None:
    """Enough figures, and none of them empty."""
    assert len(pictures) >= at_least
    for picture in pictures:
        image = np.asarray(Image.open(io.BytesIO(picture._repr_png_())).convert("L"))
        assert (image < 250).mean() > 0.01


def notebook(number: int) -> Path:
    (path,) = (path for path in NOTEBOOKS if path.stem.startswith(f"{number}_"))
    return path


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """The first notebook, run; the second reads a source of its run."""
    folder = tmp_path_factory.mktemp("classify")
    parameters = {"folder": folder, "n_known": 700, "n_new": 300, "settings": QUICK}
    return folder, *execute(notebook(1), parameters)


def test_classify_your_own_catalogue(classified):
    _, space, pictures = classified
    drawn(pictures, 4)
    assert len(space["table"]) == 300 and "true_class" not in space["table"].colnames


def test_read_a_track(classified):
    folder, *_ = classified
    space, pictures = execute(
        notebook(2), {"run": folder / "run", "catalog": folder / "known.fits"}
    )
    drawn(pictures, 3)
    assert space["surest"].posterior[space["surest"].prediction] > 0.5
    # What the story says of priors: the evidence stays, term by term.
    np.testing.assert_allclose(
        space["elsewhere"].contribution, space["doubtful"].contribution, atol=1e-12
    )


def test_detections_to_sources(tmp_path):
    space, pictures = execute(notebook(3), {"folder": tmp_path, "n_known": 500, "n_new": 400})
    drawn(pictures, 2)
    assert 0 <= space["pooled"].rho <= 1
    assert len(space["sources"]) == 400


def test_bayesian_intervals(tmp_path):
    quick = [*QUICK, "posterior.method=laplace", "posterior.kept=20"]
    parameters = {"folder": tmp_path, "n_few": 250, "n_many": 600, "settings": quick}
    _, pictures = execute(notebook(4), parameters)
    drawn(pictures, 4)


def test_published_figures(tmp_path):
    parameters = {"folder": tmp_path, "n_sources": 600, "largest": 4, "n_runs": 2, "data": None}
    parameters["settings"] = [*QUICK, "validation.folds=2", "validation.inner_folds=2"]
    space, pictures = execute(notebook(5), parameters)
    drawn(pictures, 10)
    assert space["criterion"].bic.shape == (3, 2)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_pairs_of_jupytext_with_parameters_and_a_story(path):
    read = jupytext.read(path)
    assert read.metadata["jupytext"]["formats"] == "ipynb,py:percent"
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in read.cells) == 1
    assert read.cells[0].source.startswith("# ")
    told = [cell.cell_type for cell in read.cells]
    assert told.count("markdown") >= 4
    # There and back gives the same cells: the .ipynb that make notebooks makes is in step.
    again = jupytext.reads(jupytext.writes(read, "ipynb"), "ipynb")
    assert [cell.source for cell in again.cells] == [cell.source for cell in read.cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_arithmetic(path):
    """Numbers come from the package: no sums, products or powers in a notebook (paths may join)."""
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.BinOp):
                assert isinstance(node.op, ast.Div), ast.unparse(node)
                assert isinstance(node.right, ast.Constant | ast.JoinedStr), ast.unparse(node)
                assert not isinstance(getattr(node.right, "value", ""), int | float)


def test_every_notebook_is_listed():
    listed = (ROOT / "notebooks" / "README.md").read_text()
    assert all(f"({path.name})" in listed for path in NOTEBOOKS)
    assert len(NOTEBOOKS) == 5


def test_a_figure_that_is_not_there(tmp_path):
    (tmp_path / "sky.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"sky"):
        show(tmp_path / "skye.png")
