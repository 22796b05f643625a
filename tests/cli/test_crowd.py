"""`xbayes crowd` as a user types it: files in, files out, one message for wrong input."""

import json

import numpy as np
import pytest
from astropy.table import Table

from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog

CLASSES = ("AGN", "Star", "XRB")


def votes_table(sources, truth, seed=0, users=5):
    """Votes of volunteers who are right in four of five cases."""
    rng = np.random.default_rng(seed)
    rows = [
        (source, f"u{u}", name if rng.random() < 0.8 else rng.choice([*CLASSES, "unknown"]))
        for source, name in zip(sources, truth, strict=True)
        for u in range(users)
    ]
    source, user, answer = map(np.array, zip(*rows, strict=True))
    return Table({"source": source, "user": user, "answer": answer})


@pytest.fixture(scope="module")
def voted(small, tmp_path_factory):
    """Votes on 60 sources of the small run."""
    folder = tmp_path_factory.mktemp("votes")
    sky = read_catalog(small.catalog)[:60]
    table = votes_table(np.array(sky["name"]), np.array(sky["Class"]).astype(str))
    write_catalog(table, folder / "votes.csv")
    return folder, table, np.array(sky["Class"]).astype(str)


def test_votes_become_labels_and_skills(voted, small, done):
    folder, table, truth = voted
    options = ("--run", small.folder, "--no-intervals", "--overwrite")
    err = done("crowd", "aggregate", folder / "votes.csv", "--out", folder / "l.csv", *options)
    assert "60 sources" in err and "5 volunteers" in err
    labels, users = read_catalog(folder / "l.csv"), read_catalog(folder / "l.csv.users.csv")
    assert labels.colnames[:7] == [
        "name", *(f"p_{c}" for c in CLASSES), "entropy", "n_votes", "settled",
    ]  # fmt: skip
    prob = np.column_stack([np.asarray(labels[f"p_{c}"]) for c in CLASSES])
    np.testing.assert_allclose(prob.sum(1), 1.0, atol=1e-6)
    order = np.argsort(np.unique(np.array(table["source"]), return_index=True)[1])
    voted_class = np.array(CLASSES)[prob.argmax(1)][order]
    assert np.mean(voted_class == truth) > 0.85
    assert set(labels["n_votes"]) == {5} and 0 < labels["settled"].sum() <= 60
    assert len(users) == 5 and np.all(users["skill"] > 0.6)


def test_the_posterior_of_the_run_is_the_prior_if_asked_for(voted, small, done):
    folder, _, _ = voted
    run = ("--run", small.folder, "--no-intervals", "--overwrite")
    done("crowd", "aggregate", folder / "votes.csv", "--out", folder / "a.csv", *run)
    err = done(
        "crowd", "aggregate", folder / "votes.csv", "--out", folder / "b.csv", "--prior", *run
    )
    assert "out-of-fold posterior" in err
    without, with_prior = read_catalog(folder / "a.csv"), read_catalog(folder / "b.csv")
    assert "prior_AGN" not in without.colnames
    assert not np.allclose(without["p_AGN"], with_prior["p_AGN"], atol=1e-3)
    held_out = read_catalog(small.folder / "predictions.parquet")
    place = {name: row for row, name in enumerate(held_out["name"])}
    rows = [place[name] for name in with_prior["name"]]
    np.testing.assert_allclose(with_prior["prior_XRB"], held_out["p_XRB"][rows], atol=1e-5)


def changed(table, **columns):
    """The table with other columns; None removes one."""
    made = table.copy()
    for name, values in columns.items():
        made.remove_column(name)
        if values is not None:
            made[name] = values
    return made


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: changed(t, answer=["quasar", *t["answer"][1:]]), ["quasar", "--answer"]),
        (lambda t: changed(t, user=None), ["no column", "user"]),
        (lambda t: changed(t, user=np.full(len(t), "me")), ["one volunteer", "'me'"]),
        (lambda t: changed(t, answer=["", *t["answer"][1:]]), ["'answer'", "empty", "row 1"]),
        (lambda t: changed(t, source=["s0x", *t["source"][1:]]), ["s0x", "--catalog"]),
        (lambda t: Table({**{c: t[c] for c in t.colnames}, "time": ["noon"] * len(t)}), ["noon"]),
        (lambda t: t[:0], ["row"]),
    ],
    ids=["answer", "column", "user", "empty cell", "source", "time", "empty file"],
)
def test_wrong_votes_are_refused_with_one_message(voted, small, refused, tmp_path, change, says):
    table = change(voted[1])
    lines = [",".join(table.colnames), *(",".join(map(str, row)) for row in table)]
    (tmp_path / "v.csv").write_text("\n".join(lines) + "\n")
    out = ("--out", tmp_path / "l.csv", "--run", small.folder, "--no-intervals")
    refused("crowd", "aggregate", tmp_path / "v.csv", *out, says=says)
    assert not (tmp_path / "l.csv").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--prior",), "--run"),
        (("--catalog", "x.csv"), "--run"),
        (("--settled", "1"), "below 1"),
        (("--classes", "AGN"), "at least two"),
        (("--zooniverse",), "leave --zooniverse out"),
    ],
)
def test_options_that_do_not_fit_are_refused(voted, refused, tmp_path, options, says):
    out = ("--out", tmp_path / "l.csv", "--no-intervals")
    refused("crowd", "aggregate", voted[0] / "votes.csv", *out, *options, says=[says])


def test_a_repeated_vote_counts_once(voted, tmp_path, done):
    table = voted[1]
    twice = Table({name: [*table[name], *table[name][:10]] for name in table.colnames})
    write_catalog(twice, tmp_path / "v.csv")
    err = done(
        "crowd", "aggregate", tmp_path / "v.csv", "--out", tmp_path / "l.csv", "--no-intervals"
    )
    assert "10 of 310 votes are earlier" in err
    assert set(read_catalog(tmp_path / "l.csv")["n_votes"]) == {5}


def export_of(table):
    """The votes as a Zooniverse classification export, with what such files hold."""
    words = {"unknown": "Don't know", "XRB": "X-ray binary"}
    rows = []
    for number, (source, user, answer) in enumerate(table.iterrows()):
        value = words.get(str(answer), str(answer))
        guest = user == "u0"
        rows.append(
            {
                "classification_id": str(number),
                "user_name": "" if guest else str(user),
                "user_ip": "abc123" if guest else "",
                "created_at": f"2026-01-01 00:{number // 60:02d}:{number % 60:02d} UTC",
                "annotations": json.dumps([{"task": "T1", "value": "?"},
                                           {"task": "T0", "value": value}]),
                "subject_data": json.dumps({"7": {"retired": {"id": 1}, "#source": str(source)}}),
            }
        )  # fmt: skip
    # One more without an answer, and a duplicate that replaces the first vote.
    rows.append({**rows[0], "annotations": json.dumps([{"task": "T0", "value": None}])})
    rows.append({**rows[0], "created_at": "2026-01-02 00:00:00 UTC"})
    return Table({name: [row[name] for row in rows] for name in rows[0]})


def test_a_zooniverse_export_gives_the_same_labels(voted, tmp_path, done):
    folder, table, _ = voted
    write_catalog(export_of(table), tmp_path / "export.csv")
    options = ("--no-intervals", "--classes", "AGN,Star,XRB")
    zoo = ("--zooniverse", "--task", "T0", "--answer", "X-ray binary=XRB")
    done("crowd", "aggregate", folder / "votes.csv", "--out", tmp_path / "a.csv", *options)
    err = done(
        "crowd", "aggregate", tmp_path / "export.csv", "--out", tmp_path / "b.csv", *options, *zoo
    )
    assert "1 classifications have no answer" in err and "1 of 301 votes" in err
    plain, zooniverse = read_catalog(tmp_path / "a.csv"), read_catalog(tmp_path / "b.csv")
    np.testing.assert_allclose(plain["p_XRB"], zooniverse["p_XRB"], atol=1e-9)
    users = read_catalog(tmp_path / "b.csv.users.csv")
    assert sorted(users["user"]) == ["guest abc123", "u1", "u2", "u3", "u4"]


@pytest.mark.parametrize(
    ("options", "says"),
    [(("--task", "T9"), "T9"), (("--subject-key", "id"), "--subject-key")],
)
def test_wrong_exports_are_refused(voted, tmp_path, refused, options, says):
    write_catalog(export_of(voted[1]), tmp_path / "export.csv")
    out = ("--out", tmp_path / "l.csv", "--zooniverse", "--answer", "X-ray binary=XRB")
    refused("crowd", "aggregate", tmp_path / "export.csv", *out, *options, says=[says])


def test_damaged_json_is_refused(voted, tmp_path, refused):
    table = export_of(voted[1])
    table["annotations"] = ["[{", *table["annotations"][1:]]
    write_catalog(table, tmp_path / "export.csv")
    out = ("--out", tmp_path / "l.csv", "--zooniverse")
    refused("crowd", "aggregate", tmp_path / "export.csv", *out, says=["no JSON in row 1"])


def test_a_selection_becomes_a_subject_set(small, tmp_path, done, refused):
    out = tmp_path / "set"
    done("crowd", "subjects", small.folder, "--select", "entropy > 0.3", "-n", 5, "--out", out)
    manifest = read_catalog(out / "manifest.csv")
    assert len({(out / name).read_bytes()[:4] for name in manifest["image"]}) == 1
    assert len(manifest) == 5 and {"source", "#p_XRB", "#entropy"} <= set(manifest.colnames)
    assert np.all(np.diff(manifest["#entropy"]) <= 0) and np.all(manifest["#entropy"] > 0.3)
    again = ("crowd", "subjects", small.folder, "--out", tmp_path / "other")
    refused(*again, "--select", "entropi > 0.3", says=["entropi", "entropy"])
    refused(*again, "--select", "entropy > 99", says=["none of the"])
    refused("crowd", "subjects", small.folder, "--out", out, says=["exists"])
    refused("crowd", "subjects", small.catalog, "--out", tmp_path / "c", says=["--id"])
