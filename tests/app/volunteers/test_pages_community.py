"""Roles, discussion, moderation, campaigns, labels, and pages for astronomers."""

import re

import pytest

from tests.app.volunteers.people import PASSWORD, account
from tests.app.volunteers.sites import log_in_as
from xbayes.app.volunteers.accounts import find_user
from xbayes.app.volunteers.tables import Role

SOURCE = "SIM 000007"
XSS = "<script>alert('x')</script>"


@pytest.mark.parametrize("role", list(Role))
def test_each_role_reaches_its_pages_only(people, role):
    person = log_in_as(people, "Vera", role)
    order = list(Role)
    needed = {
        "/admin": Role.MODERATOR,
        "/admin/users": Role.MODERATOR,
        "/admin/labels": Role.ADMIN,
        "/admin/audit": Role.ADMIN,
    }
    for path, least in needed.items():
        allowed = order.index(role) >= order.index(least)
        assert person.get(path).status_code == (200 if allowed else 403), path
    answers = {
        "/admin/users/1/role": (Role.ADMIN, {"role": "admin"}),
        "/admin/users/1/link": (Role.ADMIN, {}),
        "/admin/labels": (Role.ADMIN, {}),
        "/admin/votes.csv": (Role.ADMIN, {}),
        "/admin/posts/1/hide": (Role.MODERATOR, {"reason": "x"}),
        "/campaigns": (Role.RESEARCHER, {"name": "x"}),
        "/researchers/vote": (Role.RESEARCHER, {"source": SOURCE, "answer": "AGN"}),
    }
    for path, (least, fields) in answers.items():
        if order.index(role) < order.index(least):
            assert person.post(path, **fields).status_code == 403, path


def test_posts_are_plain_text_and_moderators_hide_them(people):
    writer, reader = (
        log_in_as(people, "Vera", Role.VOLUNTEER),
        log_in_as(people, "Rudi", Role.VOLUNTEER),
    )
    page = writer.post(f"/discussion/{SOURCE}", text=XSS)
    assert XSS not in page.text and "&lt;script&gt;" in page.text
    assert "/discussion/SIM%20000007" in writer.get(f"/source/{SOURCE}").text
    fragment = reader.get(f"/discussion/{SOURCE}", headers={"HX-Request": "true"})
    assert "<html" not in fragment.text and "&lt;script&gt;" in fragment.text
    assert reader.post("/posts/1/remove").status_code == 403
    reader.post("/posts/1/flag", reason="spam")
    moderator = log_in_as(people, "Mona", Role.MODERATOR)
    queue = moderator.get("/admin")
    assert "spam" in queue.text and XSS not in queue.text
    moderator.post("/admin/posts/1/hide", reason="an advertisement")
    hidden = reader.get(f"/discussion/{SOURCE}").text
    assert "an advertisement" in hidden and "&lt;script&gt;alert(" not in hidden
    assert "Hidden posts" in moderator.get("/admin").text
    moderator.post("/admin/posts/1/unhide")
    assert "Hidden posts" not in moderator.get("/admin").text
    assert "&lt;script&gt;" in reader.get(f"/discussion/{SOURCE}").text
    guest = people()
    guest.enter_as_guest()
    assert guest.post(f"/discussion/{SOURCE}", text="hello").status_code == 403


def test_a_campaign_from_its_start_to_its_end(people):
    researcher = log_in_as(people, "Rosa", Role.RESEARCHER)
    wrong = researcher.post("/campaigns", name="Odd", question="Why?", selection="")
    assert wrong.status_code == 422 and "address of a selection" in wrong.text
    made = researcher.post(
        "/campaigns", name="Binaries", question="Is it an XRB?", selection="/?class=XRB"
    )
    assert re.fullmatch(r"/campaigns/\d+", made.url.path)
    number = made.url.path.rsplit("/", 1)[1]
    guest = people()
    guest.enter_as_guest()
    path = f"/volunteer/vote?campaign={number}"
    assert "Is it an XRB?" in guest.get(path).text
    _source, page = guest.vote("XRB", path, campaign=number)
    assert f"campaign={number}" in page.text
    assert "1 vote" in guest.get(f"/campaigns/{number}").text
    assert guest.post(f"/campaigns/{number}/end").status_code == 403
    researcher.post(f"/campaigns/{number}/end")
    assert guest.get(path).status_code == 403
    assert "has ended" in guest.get(f"/campaigns/{number}").text


def test_an_admin_gives_roles_bans_and_issues_a_link_that_works_once(people):
    admin = log_in_as(people, "Ada", Role.ADMIN)
    user = account(admin.database, "Vera")
    assert "Vera" in admin.get("/admin/users?name=ver").text
    page = admin.post(f"/admin/users/{user}/link")
    path = re.search(r"testserver(/reset/[\w-]+)", page.text)[1]
    vera, new = people(), "walrus-otter-quartz-9"
    assert vera.post(path, path, password=new, again=new).url.path == "/volunteer"
    assert people().post(path, path, password=new, again=new).status_code == 404
    assert vera.get("/account").status_code == 200
    admin.post(f"/admin/users/{user}/role", role="researcher")
    assert vera.get("/account").url.path == "/volunteer"  # its sessions have ended
    admin.post(f"/admin/users/{user}/ban", reason="insults", days="3")
    assert "insults" in vera.log_in("Vera", new).text
    admin.post(f"/admin/users/{user}/unban")
    assert vera.log_in("Vera", new).status_code == 200
    log = admin.get("/admin/audit").text
    for action in ("issue reset link", "set role", "ban", "unban"):
        assert action in log
    with admin.database.read() as session:
        assert find_user(session, "Vera").role is Role.RESEARCHER


def test_votes_go_out_and_labels_come_in(people):
    admin = log_in_as(people, "Ada", Role.ADMIN)
    source, _ = admin.vote("AGN")
    votes = admin.post("/admin/votes.csv")
    assert votes.text.splitlines()[0] == "source,user,answer,time"
    assert votes.text.splitlines()[1].startswith(source) and "Ada" not in votes.text
    labels = f"name,p_AGN,p_Star,entropy,n_votes,settled\n{source},0.99,0.01,0.1,12,True\n"
    files = {"labels": ("labels.csv", labels.encode(), "text/csv")}
    page = admin.post("/admin/labels", files=files)
    assert "The labels are read" in page.text and "Settled labels" in page.text
    bad = admin.post("/admin/labels", files={"labels": ("a.csv", b"\xff\xfe", "text/csv")})
    assert bad.status_code == 422


def test_astronomers_find_a_source_and_researchers_vote_on_it(people):
    visitor = people()
    assert "SIM 000007" in visitor.get("/researchers?q=SIM 000007").text
    page = visitor.get(f"/researchers/source/{SOURCE}").text
    assert "Automatic class" in page and "simbad" in page and "Votes are shown to" in page
    assert visitor.get("/researchers?q=%00").status_code == 200
    rosa = log_in_as(people, "Rosa", Role.RESEARCHER)
    voted = rosa.post("/researchers/vote", source=SOURCE, answer="AGN")
    assert voted.url.path == "/volunteer/voted"
    assert rosa.post("/researchers/vote", source=SOURCE, answer="Star").status_code == 409
    assert PASSWORD not in voted.text
