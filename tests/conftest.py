"""Float64 unless a test asks for both precisions; the shared data where XBAYES_DATA names it."""

import gc
import os
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from filelock import FileLock
from jax._src import compiler

from tests.small_sky import small_sky
from xbayes.catalog.write import write_catalog
from xbayes.classifier.explain import explain
from xbayes.classifier.predict import classify
from xbayes.cli.app import main
from xbayes.figures.track_record import ln_odds
from xbayes.report import source_sections
from xbayes.report.track_table import track_table
from xbayes.types import Features

# Invented sources, scores and a whole report; the local archives.
pytest_plugins = ["tests.invented", "tests.enhance.archives"]

jax.config.update("jax_enable_x64", True)


def pytest_configure(config):
    """Doubts about an invented catalogue are no errors; tests of a doubt use pytest.warns."""
    config.addinivalue_line("filterwarnings", "ignore::xbayes.errors.XbayesWarning")


@pytest.fixture(params=["float64", "float32"])
def precision(request):
    """Runs the test in both precisions."""
    jax.config.update("jax_enable_x64", request.param == "float64")
    yield request.param
    jax.config.update("jax_enable_x64", True)


def pytest_collection_finish():
    """What is loaded stays, so the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


# XLA's older code generator, and one piece of code a program: a third of the time of the default.
QUICK = [("xla_cpu_use_fusion_emitters", False), ("xla_cpu_parallel_codegen_split_count", 1)]
options_of_jax = compiler.get_compile_options


def quick_options(*arguments, **given):
    """JAX's options of a compilation, with those of QUICK where it optimises little.

    XLA_FLAGS would change the optimised tests too, and JAX has no public setting for them.
    """
    options = options_of_jax(*arguments, **given)
    if jax.config.read("jax_disable_most_optimizations"):
        options.env_option_overrides = [*options.env_option_overrides, *QUICK]
    return options


compiler.get_compile_options = quick_options


@contextmanager
def little_optimisation(little=True):
    """JAX compiles with little optimisation, which is quicker, until the block ends."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", little)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module", autouse=True)
def quick_compilation(request):
    """Most tests wait for the compiler, so they compile with little optimisation.

    Tests that compute for long, or check what users get: `pytestmark = pytest.mark.optimised`.
    """
    with little_optimisation(request.node.get_closest_marker("optimised") is None):
        yield


@pytest.fixture
def full_optimisation():
    """For a test that computes for long in a module of quick ones."""
    with little_optimisation(False):
        yield


next_count = [0.0]


@pytest.fixture(autouse=True)
def few_memory_maps():
    """Drops compiled programs before the kernel's limit of 65,530 memory maps a process.

    Each program takes several maps, a worker compiles thousands, and beyond the limit JAX crashes.
    To count them takes longer than many a test, so they are counted every other second.
    """
    yield
    if time.monotonic() < next_count[0]:
        return
    next_count[0] = time.monotonic() + 2.0
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()
        gc.unfreeze()
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real catalogues; a set but missing folder is a failure."""
    folder = os.environ.get("XBAYES_DATA")
    if not folder:
        pytest.skip("XBAYES_DATA is not set; it names the folder of the real catalogues")
    assert Path(folder).is_dir(), f"XBAYES_DATA names {folder}, which is no folder"
    return Path(folder)


@pytest.fixture(scope="session")
def exit_code():
    """Runs a command in this process, as a user types it, and gives its exit code."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        return stop.value.code or 0

    return call


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """`made_once(name, make)`: a folder that `make(folder)` fills once for all workers.

    Tests read such a folder and never write into it.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root

    def call(name, make):
        folder = root / name
        with FileLock(root / f"{name}.lock"):
            if not (folder / "done").is_file():
                folder.mkdir(exist_ok=True)
                with little_optimisation():
                    make(folder)
                (folder / "done").touch()
        return folder

    return call


@pytest.fixture(scope="session")
def demo(made_once, exit_code):
    """`xbayes demo`: its run directory and catalogue, and what it printed."""

    def make(folder):
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            code = exit_code("demo", "--out", folder / "demo")
        (folder / "out.txt").write_text(out.getvalue())
        (folder / "err.txt").write_text(err.getvalue())
        assert code == 0, err.getvalue()

    root = made_once("runs", make)
    return SimpleNamespace(
        folder=root / "demo",
        catalog=root / "demo-catalog.fits",
        configs=Path(__file__).parents[1] / "configs",
        out=(root / "out.txt").read_text(),
        err=(root / "err.txt").read_text(),
    )


@pytest.fixture(scope="session")
def small(made_once, exit_code, small_config):
    """A run of `small_config` on 600 detections of the small sky, with sources and groups."""

    def make(folder):
        roles = "label: Class, source: star, group: field, keep: [ra, dec, star]"
        well = "well_characterised: {at_least: 2, of: [a > -9, observed(z), flag > 0.5]}"
        config = small_config.replace("label: Class", roles)
        config = config.replace("harder: none}", f"harder: none, {well}}}")
        (folder / "config.yaml").write_text(config)
        write_catalog(small_sky(600, 0), folder / "sky.parquet")
        arguments = ("--catalog", folder / "sky.parquet", "--out", folder / "run")
        assert exit_code("run", folder / "config.yaml", *arguments) == 0

    root = made_once("small", make)
    return SimpleNamespace(
        folder=root / "run", catalog=root / "sky.parquet", config=root / "config.yaml"
    )


@pytest.fixture(scope="session")
def bayes(made_once, exit_code, small_config):
    """A run with posterior samples of the weights, on 150 rows of which some values are missing.

    It is run with --strict, which has no effect without chains.
    """

    def make(folder):
        config = small_config.replace("starts: 1, cl", "starts: 1, calibration: temperature, cl")
        posterior = "posterior: {method: laplace, samples: 20, densities: false}"
        (folder / "config.yaml").write_text(f"{config}variant: bayes\n{posterior}\n")
        write_catalog(small_sky(150, 0, (1 / 3, 1 / 3, 1 / 3), 0.1), folder / "sky.parquet")
        new = small_sky(90, 5, (1 / 3, 1 / 3, 1 / 3), 0.1)
        write_catalog(new["name", "a", "b", "c"], folder / "new.parquet")
        arguments = ("--catalog", folder / "sky.parquet", "--out", folder / "run", "--strict")
        assert exit_code("run", folder / "config.yaml", *arguments) == 0

    root = made_once("bayes", make)
    return SimpleNamespace(
        folder=root / "run",
        catalog=root / "sky.parquet",
        new=root / "new.parquet",
        config=root / "config.yaml",
    )


@pytest.fixture(scope="session", autouse=True)
def few_tracks():
    """Reports show two sources of a kind, not ten, which take longer to draw than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_sections, "N_TRACKS", 2)
        yield


@pytest.fixture(scope="module")
def few_rounds():
    """Boosted terms of few rounds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xbayes.infer.select_terms.ROUNDS", (40, 80))
        yield


@pytest.fixture(scope="session")
def explained_in_sum():
    """Explains rows, after checking that the terms add up to the log-odds that are reported."""

    def call(recipe, classifier, features, log_prior=None):
        explained = explain(recipe, classifier, features, log_prior)
        score = explained.log_prior + explained.offset + explained.contribution.sum(1)
        posterior = classify(recipe, classifier, features, log_prior).posterior
        reported = np.log(posterior / posterior[:, :1])
        np.testing.assert_allclose(score - score[:, :1], reported, atol=1e-6)
        return explained

    return call


@pytest.fixture(scope="session")
def numbers_only(exit_code):
    """As `exit_code`, for tests of the numbers of a run: it draws no figures, writes no report."""

    def call(*arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("xbayes.tasks.run.write_figures_and_report", lambda *_: None)
            return exit_code(*arguments)

    return call


@pytest.fixture(scope="session")
def check_sums():
    """The terms of a track, and of its table, sum to the log-odds of its posterior."""

    def check(track):
        odds = np.log(track.posterior / track.posterior[track.prediction])
        table = track_table(track)
        for c, name in enumerate(track.classes):
            np.testing.assert_allclose(np.sum(table[f"ln_odds_{name}"]), odds[c], atol=1e-6)
        np.testing.assert_allclose(ln_odds(track).total, odds, atol=1e-6)

    return check


@pytest.fixture
def xbayes(exit_code, capsys):
    """Exit code, standard output and error of a command."""

    def call(*arguments):
        code = exit_code(*arguments)
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def done(xbayes):
    """The command succeeds; its standard error."""

    def call(*arguments):
        code, _, err = xbayes(*arguments)
        assert code == 0, err
        return err

    return call


@pytest.fixture
def refused(xbayes):
    """The command fails with exit code 2 and one clear message, which is given back."""

    def call(*arguments, says=()):
        code, _, err = xbayes(*arguments)
        assert code == 2, err
        assert "Traceback" not in err
        for word in says:
            assert word in err, err
        return err

    return call


@pytest.fixture
def four_classes():
    """600 sources, 3 properties (one often missing, as evidence), 4 overlapping classes."""
    rng = np.random.default_rng(5)
    truth = rng.choice(4, 600, p=[0.5, 0.3, 0.15, 0.05])
    centre = np.array([[0, 0, 0], [1.5, -1, 0.5], [-1.5, 1, 1], [0.5, 2, -1]])
    value = centre[truth] + rng.normal(size=(600, 3))
    observed = np.ones((600, 3), bool)
    observed[:, 2] = rng.random(600) < np.array([0.9, 0.8, 0.3, 0.6])[truth]
    features = Features(
        np.where(observed, value, 0.0),
        observed,
        np.ones_like(observed),
        np.ones_like(value),
        np.zeros_like(value),
    )
    return features, truth


@pytest.fixture(scope="session")
def small_config():
    """A config of three properties in two categories and three classes, quick to run."""
    return """
name: small
catalog: {id: name, ra: ra, dec: dec, label: Class}
taxonomy: {classes: {AGN: [AGN], Star: [Star], XRB: [XRB]}}
features:
  a: {expression: a, category: one}
  b: {expression: b, category: one}
  c: {expression: c, category: two}
model: {weights: property, penalty: 10, starts: 1, clusters: {components: 2, steps: 3, starts: 1}}
validation: {folds: 2, inner_folds: 2, bootstrap: 20, harder: none}
"""
