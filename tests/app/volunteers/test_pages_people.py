"""From guest to ranking, accounts, and what must stay hidden before a vote."""

import re
from html import unescape

import pytest

from tests.app.clients import browser_of
from tests.app.volunteers.people import PASSWORD, account
from tests.app.volunteers.sites import Person, log_in_as, open_site_of
from xbayes.app.volunteers.accounts import CONSENT_VERSION, find_user
from xbayes.app.volunteers.pages import routers
from xbayes.app.volunteers.tables import Role, User, Vote
from xbayes.app.volunteers.visitor import SESSION, local_path
from xbayes.errors import InputError


def test_from_guest_over_tutorial_and_training_to_vote_and_ranking(people):
    guest = people()
    assert guest.get("/volunteer/vote").url.path == "/volunteer"  # sent to the start
    assert guest.enter_as_guest().url.path == "/volunteer/tutorial"
    for step in range(1, 7):
        assert guest.get(f"/volunteer/tutorial?step={step}").status_code == 200
    assert "Right!" in guest.get("/volunteer/tutorial?step=6&answer=XRB").text
    assert "Not this time." in guest.get("/volunteer/tutorial?step=6&answer=Star").text
    source, page = guest.vote("AGN", "/volunteer/train")
    assert "Why?" in page.text and "What is it?" in page.text
    source, page = guest.vote("unknown", comment="<script>alert(1)</script>")
    assert page.url.path == "/volunteer/voted"
    assert "What others answered" in page.text
    with guest.database.read() as session:
        kept = session.query(Vote).filter_by(source=source).one()
    assert kept.comment == "<script>alert(1)</script>"
    assert "Guests are not ranked" in guest.get("/ranking").text


def test_signing_up_keeps_the_votes_and_leads_into_the_ranking(people):
    guest = people()
    guest.enter_as_guest()
    for _ in range(10):
        guest.vote("AGN")
    before = guest.client.cookies[SESSION]
    assert guest.sign_up("Vera").url.path == "/volunteer"
    assert guest.client.cookies[SESSION] != before  # no session fixation
    assert "Your place: 1, with 10 votes" in guest.get("/ranking").text
    assert "Your place: 1" in guest.get("/ranking?period=week").text
    assert "1 day" in guest.get("/volunteer").text  # streak
    old = people()
    old.client.cookies.set(SESSION, before)
    assert old.get("/account").url.path == "/volunteer"


def test_the_classifier_and_the_truth_are_not_in_the_page_before_the_vote(people):
    person = people()
    person.enter_as_guest()
    run = person.client.app.state.site.runs["demo-half"]
    for path in ("/volunteer/vote", "/volunteer/train"):
        text = unescape(person.get(path).text)
        source = re.search(r'name="source" value="([^"]*)"', text)[1]
        row = run.catalogue.row(source)
        body = text.split('<form method="post" action="/volunteer/', 1)[0].split("</nav></", 1)[-1]
        evidence = body[body.index('class="vote-page"') :]
        assert row["prediction"] not in re.sub(r"<p class=\"small\">.*?</p>", "", evidence)
        for name in run.fitted.classes:
            assert f"{row[f'p_{name}']:.3f}" not in text
        assert "/source/" not in text and "posterior" not in evidence
        svg = person.get("/volunteer/chart.svg", params={"source": source})
        assert svg.headers["content-type"] == "image/svg+xml"
        assert not any(
            f">{name}" in svg.text or f"{name} (" in svg.text for name in run.fitted.classes
        )
        assert person.get("/volunteer/voted", params={"source": source}).status_code == 404


def test_a_vote_is_cast_once_and_only_on_the_source_that_was_shown(people):
    person, other = people(), people()
    person.enter_as_guest()
    other.enter_as_guest()
    source, _ = person.vote("AGN")
    data = {"source": source, "answer": "Star", "campaign": "1"}
    again = person.post("/volunteer/vote", **data)
    assert "Your answer: AGN" in again.text
    assert other.post("/volunteer/vote", **{**data, "source": "SIM 999999"}).status_code == 403
    assert person.post("/volunteer/vote", **{**data, "answer": "nonsense"}).status_code == 422


def test_no_form_without_its_token(people):
    person = people()
    person.enter_as_guest()
    own = [route for router in routers() for route in router.routes]
    routes = [route.path for route in own if "POST" in route.methods]
    assert len(routes) > 20
    for path in routes:
        filled = re.sub(r"\{[^}]*id[^}]*\}", "1", path)
        filled = re.sub(r"\{[^}]*\}", "x", filled)
        for token in ("", "0" * 64):
            answer = person.client.post(filled, data={"csrf": token})
            assert answer.status_code == 403, path
    stranger = people()
    foreign = stranger.csrf()
    assert person.client.post("/logout", data={"csrf": foreign}).status_code == 403


def test_cookies_and_caches(people, demo, half, new_url):
    person = people()
    answer = person.client.post(
        "/volunteer/guest",
        data={"csrf": person.csrf(), "consent": "yes"},
        follow_redirects=False,
    )
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith(SESSION))
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie
    for path in ("/volunteer", "/account", "/ranking", "/volunteer/vote", "/source/SIM%20000007"):
        assert person.get(path).headers["cache-control"] == "no-store", path
    site = open_site_of(demo, half, new_url("sqlite"), host="0.0.0.0", secret_key="k" * 20)
    public = Person(site)
    answer = public.client.get("/login")
    assert all("Secure" in c for c in answer.headers.get_list("set-cookie"))
    public.database.close()


@pytest.mark.parametrize(
    "path", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/a\nb", "/\t/e"]
)
def test_no_open_redirect(path):
    assert local_path(path, "/volunteer") == "/volunteer"


def test_log_in_leads_to_local_pages_only_and_is_limited(people):
    person = people()
    account(person.database, "Vera")
    answer = person.post("/login", "/login", name="Vera", password=PASSWORD, next="//evil.example")
    assert answer.url.host == "testserver"
    thief = people()
    for _ in range(10):
        assert thief.log_in("Vera", "wrong-wrong-wrong").status_code == 401
    refused = thief.log_in("Vera", PASSWORD)
    assert refused.status_code == 429
    assert "too many attempts" in refused.text


def test_a_weak_password_and_missing_consent_are_said_on_the_form(people):
    person = people()
    weak = person.sign_up("Vera", "password1234")
    assert weak.status_code == 422 and "easily guessed" in weak.text
    assert 'value="Vera"' in weak.text and "password1234" not in weak.text
    without = person.post("/signup", "/signup", name="Vera", password=PASSWORD)
    assert "agree to the note" in without.text


def test_password_language_consent_and_deletion(people):
    person = log_in_as(people, "Vera", Role.VOLUNTEER)
    new = "walrus-otter-quartz-9"
    wrong = person.post("/account/password", old="no", password=new, again=new)
    assert wrong.status_code == 401
    differ = person.post("/account/password", old=PASSWORD, password=new, again="other")
    assert "differ" in differ.text
    assert (
        "is changed" in person.post("/account/password", old=PASSWORD, password=new, again=new).text
    )
    assert person.post("/account/language", language="fr").status_code == 200
    with person.database.write() as session:
        user = find_user(session, "Vera")
        assert user.language == "fr"
        user.consent_version = "2000-01"
    assert person.get("/volunteer/vote?lang=en").status_code == 403
    person.post("/account/consent", consent="yes", votes="remove")
    assert person.get("/volunteer/vote").status_code == 200
    person.vote("AGN")
    assert person.post("/account/delete", sure="yes", password="no").status_code == 401
    gone = person.post("/account/delete", sure="yes", password=new, votes="remove")
    assert gone.url.path == "/volunteer"
    with person.database.read() as session:
        assert find_user(session, "Vera") is None
        assert session.query(Vote).count() == 0
        assert session.query(User).one().name.startswith("former-")
    assert CONSENT_VERSION


def test_a_database_that_is_behind_is_refused_with_the_command(demo, half, new_url):
    site = open_site_of(demo, half, new_url("sqlite", empty=True))
    with pytest.raises(InputError, match="xbayes volunteers migrate"):
        browser_of(site)
