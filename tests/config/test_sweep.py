"""The sweep of a config: its grid, and every value checked before any work."""

import pytest

from xbayes.config.reader import dump_config, load_config, parse_config, swept
from xbayes.errors import InputError


@pytest.fixture
def with_sweep(small_config, tmp_path):
    def write(text):
        path = tmp_path / "grid.yaml"
        path.write_text(small_config + text)
        return path

    return write


def test_the_grid_has_every_combination(with_sweep):
    path = with_sweep("sweep: {model.weights: [property, matrix], model.calibration: [none, auto]}")
    variants = swept(load_config(path))
    assert list(variants) == [
        "small[weights=property,calibration=none]",
        "small[weights=property,calibration=auto]",
        "small[weights=matrix,calibration=none]",
        "small[weights=matrix,calibration=auto]",
    ]
    last = variants["small[weights=matrix,calibration=auto]"]
    assert (last.model.weights, last.model.calibration) == ("matrix", "auto")
    assert last.model.penalty == 10  # the rest is that of the config
    assert not last.sweep


def test_without_a_sweep_a_config_is_one_variant(small_config):
    config = parse_config(small_config)
    assert swept(config) == {"small": config}


def test_labels_are_unique_and_missing_sections_are_added(with_sweep):
    path = with_sweep(
        "sweep:\n  model.starts: [1]\n  model.clusters.starts: [2, 3]\n"
        "  categories.one: [{likelihood: kde}, {likelihood: mixture}]"
    )
    names = list(swept(load_config(path)))
    assert names[0] == "small[model.starts=1,model.clusters.starts=2,one={likelihood:kde}]"
    assert len(set(names)) == 4


def test_a_sweep_is_written_and_read_back(with_sweep):
    config = load_config(with_sweep("sweep: {model.weights: [property, matrix]}"))
    assert parse_config(dump_config(config)) == config


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        ("{model.weights: [property, matrx]}", "sweep.model.weights[1]: must be 'none'"),
        ("{model.wieghts: [property]}", "sweep.model.wieghts: unknown key (did you mean 'weights'"),
        ("{model.weights: []}", "needs at least one value; found none"),
        ("{model.weights: property}", "must be a list [a, b]; found 'property'"),
        ("{model.weights: [matrix, matrix]}", "lists matrix twice"),
        ("{seed: [1, 2]}", "sweep.seed: variants must share seed"),
        ("{validation.folds: [2, 3]}", "variants must share validation.folds"),
        ("{catalog.id: [a, b]}", "variants must share catalog"),
        ("{model..weights: [matrix]}", "must be a dotted key"),
        ("{model.normalise: [true]}", "sweep.model.normalise[0]: true needs weights: category"),
        (
            "{features.d.expression: [a]}",
            "sweep: expression=a is not a valid combination: features.d.category",
        ),
        (f"{{model.penalty: {list(range(1, 600))}}}", "has 599 combinations; at most 500"),
    ],
)
def test_a_message_names_file_line_and_value(with_sweep, sweep, says):
    path = with_sweep(f"sweep: {sweep}")
    with pytest.raises(InputError) as error:
        load_config(path)
    message = str(error.value)
    assert says in message
    line = (path.read_text()).splitlines().index(f"sweep: {sweep}") + 1
    assert message.startswith(f"{path}:{line}:")


def test_an_invalid_combination_of_valid_values_is_refused(with_sweep):
    text = "sweep:\n  model.weights: [category, property]\n  model.normalise: [true, false]"
    with pytest.raises(InputError, match=r"normalise\[0\]: true needs weights: category"):
        load_config(with_sweep(text))


def test_run_refuses_a_sweep_and_says_what_to_do(with_sweep, refused, tmp_path):
    path = with_sweep("sweep: {model.weights: [property, matrix]}")
    refused("run", path, "--out", tmp_path / "out", says=["xbayes compare", "sweep={}"])
    assert not (tmp_path / "out").exists()
