"""xbayes compare: the same sources and folds for all variants, resuming, and clear errors."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from astropy.table import Table

from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.classifier.posterior_draws import PosteriorReport
from xbayes.compare import run as driver
from xbayes.compare.peers import PEERS
from xbayes.compare.plan import make_plan
from xbayes.compare.store import stored_variant
from xbayes.compare.variants import Request, with_fingerprint
from xbayes.errors import InputError
from xbayes.output.posterior_file import inference_data, write_posterior
from xbayes.types import Names

GRID = "sweep: {model.weights: [category, property]}\n"
N = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def sky(folder):
    """Three classes in three features, with 10 % of the values missing."""
    rng = np.random.default_rng(2)
    truth = rng.choice(3, N, p=[0.5, 0.3, 0.2])
    value = 1.2 * np.eye(3)[truth] + rng.normal(size=(N, 3))
    value[rng.random((N, 3)) < 0.1] = np.nan
    table = Table({"name": [f"S {n}" for n in range(N)], "ra": rng.uniform(0, 360, N)})
    table["dec"] = rng.uniform(-80, 80, N)
    table["Class"] = np.array(["AGN", "Star", "XRB"])[truth]
    for name, column in zip("abc", value.T, strict=True):
        table[name] = column
    table.write(folder / "sky.csv")
    return folder / "sky.csv"


@pytest.fixture(scope="module")
def config(folder, small_config):
    path = folder / "small.yaml"
    path.write_text(small_config)
    return path


@pytest.fixture(scope="module")
def grid(folder, small_config):
    path = folder / "grid.yaml"
    path.write_text(small_config.replace("name: small", "name: grid") + GRID)
    return path


@pytest.fixture(scope="module")
def request_of(sky, grid):
    return Request((grid,), catalog=sky, peers=("random_forest",))


@pytest.fixture(scope="module", autouse=True)
def small_forest():
    """Ten trees instead of hundreds."""
    whole = dict(PEERS)
    few = {"random_forest": {"n_estimators": 10}, "hist_gradient_boosting": {"max_iter": 10}}
    for name, settings in few.items():
        stages = (10,) if whole[name].stages else ()
        PEERS[name] = whole[name]._replace(settings=(settings,), stages=stages)
    yield
    PEERS.update(whole)


@pytest.fixture(scope="module")
def compared(exit_code, folder, sky, grid, small_forest):
    out = folder / "out"
    code = exit_code("compare", grid, "--catalog", sky, "--peer", "random_forest", "--out", out)
    assert code == 0
    return out


NAMES = ["grid[weights=category]", "grid[weights=property]", "random_forest"]


def test_the_folder_holds_numbers_table_predictions_and_report(compared):
    numbers = json.loads((compared / "compare.json").read_text())
    assert list(numbers["variants"]) == NAMES
    assert numbers["partial"] == []
    assert numbers["comparisons"] == {"pairs": 6, "best": 12, "all": 18}
    assert len(numbers["differences"]) == 3
    lines = list(csv.DictReader((compared / "compare.csv").read_text().splitlines()))
    assert [line["variant"] for line in lines] == NAMES
    for line in lines:
        score = numbers["variants"][line["variant"]]["scores"]["log_loss"]
        assert float(line["log_loss"]) == score["value"]
        assert score["lo"] < score["value"] < score["hi"]
        assert float(line["fit_seconds"]) > 0


def test_scores_follow_from_the_predictions(compared):
    from sklearn.metrics import f1_score

    numbers = json.loads((compared / "compare.json").read_text())
    table = read_catalog(compared / "predictions.parquet")
    assert len(table) == N
    truth = np.asarray(table["true_class"]).astype(str)
    for name in NAMES:
        p = np.column_stack([np.asarray(table[f"{name}:p_{c}"]) for c in ("AGN", "Star", "XRB")])
        np.testing.assert_allclose(p.sum(1), 1.0)
        own = p[np.arange(N), np.searchsorted(["AGN", "Star", "XRB"], truth)]
        scores = numbers["variants"][name]["scores"]
        assert scores["log_loss"]["value"] == pytest.approx(-np.log(own).mean())
        rule = np.asarray(table[f"{name}:prediction"]).astype(str)
        expected = f1_score(truth == "XRB", rule == "XRB")
        assert scores["f1"]["value"] == pytest.approx(expected)
        most = np.array(["AGN", "Star", "XRB"])[p.argmax(1)]
        assert scores["f1_argmax"]["value"] == pytest.approx(
            f1_score(truth == "XRB", most == "XRB")
        )


def test_the_report_is_one_file_that_holds_all_variants(compared):
    page = (compared / "compare.html").read_text()
    for name in NAMES:
        assert name in page
    assert "6 differences of pairs" in page
    assert "18 paired comparisons" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    data = json.loads(page.split('id="compare-data">')[1].split("</script>")[0])
    assert data["names"] == NAMES
    shown = page.split('<tbody id="disagreements">')[1].split("</tbody>")[0]
    assert shown.count("<tr>") > 3


@pytest.fixture(scope="module")
def plan(request_of):
    return make_plan(request_of)


@pytest.fixture(scope="module")
def stored(compared, plan):
    """The stored predictions, by variant."""
    return {variant.name: stored_variant(compared, variant) for variant in plan.variants}


def test_all_variants_are_cross_validated_on_the_same_folds(plan, stored):
    for predictions in stored.values():
        np.testing.assert_array_equal(predictions.outer_fold, plan.outer_fold)
        assert (predictions.prediction >= 0).all()  # every variant learned the rule


def test_a_stopped_comparison_keeps_the_finished_variants_and_resumes(
    folder, config, sky, compared
):
    out = folder / "stopped"
    request = Request((config,), catalog=sky, peers=("random_forest", "hist_gradient_boosting"))

    def stop(share, what):
        if "2 of 3" in what:
            raise KeyboardInterrupt

    done = driver.run_comparison(request, out, progress=stop)
    assert isinstance(done.stopped, KeyboardInterrupt)
    numbers = json.loads((out / "compare.json").read_text())
    assert numbers["partial"] == ["random_forest", "hist_gradient_boosting"]
    assert list(numbers["variants"]) == ["small"]
    page = (out / "compare.html").read_text()
    assert "Not done: random_forest, hist_gradient_boosting" in page
    with pytest.raises(InputError, match="--resume"):
        driver.run_comparison(request, out)
    messages = []
    done = driver.run_comparison(
        request, out, resume=True, progress=lambda _, text: messages.append(text)
    )
    assert done.reused == ("small",)
    assert not [text for text in messages if "1 of 3" in text]
    one, other = (json.loads((f / "compare.json").read_text()) for f in (out, compared))
    assert one["partial"] == []
    forests = [numbers["variants"]["random_forest"]["scores"] for numbers in (one, other)]
    for name in ("log_loss", "f1"):
        assert forests[0][name]["value"] == forests[1][name]["value"]


def test_a_variant_of_another_config_or_catalogue_is_not_reused(request_of, plan, compared):
    again = driver.run_comparison(request_of, compared, resume=True)
    assert again.reused == tuple(NAMES)
    first, second = plan.variants[:2]
    changed = first.config.model_copy(update={"model": second.config.model})
    for other in (
        with_fingerprint(first._replace(config=changed), plan.sha256),
        with_fingerprint(first, "another catalogue"),
    ):
        assert stored_variant(compared, other) is None


def test_the_command_reports_a_partial_comparison(sky, grid, folder, xbayes, stored, monkeypatch):
    """Ctrl-C during the second variant, as on the screen."""

    def interrupted(plan, variant, progress):
        if variant.name == NAMES[1]:
            raise KeyboardInterrupt
        return stored[variant.name]

    monkeypatch.setattr(driver, "predict_variant", interrupted)
    out = folder / "interrupted"
    code, shown, err = xbayes("compare", grid, "--catalog", sky, "--out", out)
    assert code == 130
    assert "PARTIAL" in shown
    assert "--resume" in err and "not done: grid[weights=property]" in err


@pytest.fixture(scope="module")
def runs(numbers_only, folder, sky, config):
    out = folder / "by_rule"
    assert numbers_only("run", config, "--catalog", sky, "--out", out, "--set", "decision=f1") == 0
    shutil.copytree(out, folder / "plain")
    text = (out / "config.yaml").read_text()
    (folder / "plain" / "config.yaml").write_text(text.replace("decision: f1", "decision: argmax"))
    return folder


@pytest.mark.slow
def test_posteriors_of_runs_are_compared(runs, folder, sky, xbayes):
    """Two posterior.nc, of which one has log posteriors of the labels that are lower by 0.1."""
    rng = np.random.default_rng(0)
    log_lik = np.log(rng.uniform(0.5, 0.6, (2, 200, 30)))
    for name, less in (("plain", 0.1), ("by_rule", 0.0)):
        sites = {"offset": rng.normal(size=(2, 200, 3))}
        truth = np.arange(30) % 3
        sampled = PosteriorReport(sites, {}, log_lik - less, truth, 1.0, "laplace")
        names = Names(("a", "b", "c"), ("all",), (0, 0, 0), ("AGN", "Star", "XRB"))
        write_posterior(inference_data(sampled, names), runs / name / "posterior.nc")
    out = folder / "posteriors"
    items = (runs / "plain", runs / "by_rule")
    code, shown, err = xbayes("compare", *items, "--catalog", sky, "--out", out)
    assert code == 0, err
    for name in ("plain", "by_rule"):
        (runs / name / "posterior.nc").unlink()
    rows = json.loads((out / "compare.json").read_text())["psis_loo"]
    assert [row["name"] for row in rows] == ["by_rule", "plain"]
    assert rows[1]["difference"] == pytest.approx(-3.0, abs=0.01)
    assert "PSIS-LOO" in (out / "compare.html").read_text()
    assert "PSIS-LOO" in shown


def test_runs_are_compared_by_their_predictions(runs, folder, sky, config, done):
    out = folder / "with_runs"
    items = (runs / "plain", runs / "by_rule", config)
    done("compare", *items, "--catalog", sky, "--out", out)
    numbers = json.loads((out / "compare.json").read_text())
    scores = {name: one["scores"] for name, one in numbers["variants"].items()}
    assert list(scores) == ["plain", "by_rule", "small"]
    # The same config on the same folds: the same probabilities, and the rule if it is known.
    for name in ("log_loss", "f1_argmax"):
        values = [one[name]["value"] for one in scores.values()]
        np.testing.assert_allclose(values, values[0], rtol=1e-9)
    assert scores["plain"]["f1"]["value"] is None
    assert scores["by_rule"]["f1"]["value"] == scores["small"]["f1"]["value"]
    assert scores["by_rule"]["log_loss"]["standing"] == "alike"


def test_variants_that_cannot_be_compared_are_refused(
    folder, sky, config, grid, runs, refused, monkeypatch
):
    def no(*arguments, says):
        out = folder / "refused"
        refused("compare", *arguments, "--catalog", sky, "--out", out, says=says)
        assert not out.exists()

    other = folder / "other.yaml"
    other.write_text(config.read_text().replace("name: small", "name: other\nseed: 9"))
    no(config, other, says=["seed differs", "small has 1, other has 9", "--set seed"])
    no(config, says=["at least two variants", "--peer"])
    no(config, config, says=["two variants are called 'small'"])
    no(runs / "plain", other, says=["seed differs"])
    no(config, runs, says=["has no config.yaml", "not a finished run"])
    no(config, "--peer", "forest", says=["no such peer"])
    no(
        config,
        "--peer",
        "hard_rules",
        "--peer-calibration",
        "some",
        says=["--peer-calibration must be"],
    )
    no(config, "--peer", "hard_rules", "--peers-on", grid, says=["has a sweep"])
    no(grid, "--set", "seed=x", says=["--set seed"])


def test_another_catalogue_is_refused(folder, sky, config, runs, refused):
    lines = sky.read_text().splitlines()
    (folder / "less.csv").write_text("\n".join(lines[:-1]) + "\n")
    out = folder / "refused"
    given = ("--catalog", folder / "less.csv", "--out", out)
    refused("compare", runs / "plain", config, *given, says=["SHA-256 differ", "run again"])
    named = folder / "named.yaml"
    text = config.read_text().replace("name: small", "name: named")
    named.write_text(text.replace("{id: name", f"{{file: {folder / 'less.csv'}, id: name"))
    full = folder / "full.yaml"
    full.write_text(config.read_text().replace("{id: name", f"{{file: {sky}, id: name"))
    refused("compare", full, named, "--out", out, says=["same catalogue", "named", "SHA-256"])


def test_a_run_without_predictions_or_of_other_folds_is_refused(folder, sky, config, runs, refused):
    broken = folder / "broken"
    shutil.copytree(runs / "plain", broken)
    given = (
        "compare",
        broken,
        config,
        "--catalog",
        sky,
        "--out",
        folder / "refused",
        "--overwrite",
    )
    table = read_catalog(broken / "predictions.parquet", text=["name"])
    table["fold"] = 1 - table["fold"]
    write_catalog(table, broken / "predictions.parquet", overwrite=True)
    refused(*given, says=["outer folds differ"])
    (broken / "predictions.parquet").unlink()
    refused(*given, says=["has no predictions.parquet"])


def test_a_folder_that_is_not_a_comparison_is_not_overwritten(folder, sky, grid, refused):
    mine = folder / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep")
    refused(
        "compare",
        grid,
        "--catalog",
        sky,
        "--out",
        mine,
        "--overwrite",
        says=["not of a comparison"],
    )
    assert (mine / "notes.txt").exists()
