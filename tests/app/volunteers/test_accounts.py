"""Accounts, sessions, passwords and roles."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from tests.app.volunteers.people import (
    NOON,
    PASSWORD,
    account,
    days,
    first_admin,
    new_account,
    new_guest,
    vote,
)
from xbayes.app.volunteers import accounts, passwords
from xbayes.app.volunteers.accounts import (
    Consent,
    Credentials,
    change_password,
    create_guest,
    delete_account,
    give_consent,
    log_in,
    sign_up,
    use_reset_link,
)
from xbayes.app.volunteers.admin import issue_reset_link, list_users, make_admin, set_role
from xbayes.app.volunteers.audit import audit_log
from xbayes.app.volunteers.discussion import add_post, discussion
from xbayes.app.volunteers.limits import LogInLimits
from xbayes.app.volunteers.names import clean_name, name_key
from xbayes.app.volunteers.passwords import check_password
from xbayes.app.volunteers.problems import Forbidden, Missing, TooOften, WrongLogin
from xbayes.app.volunteers.progress import progress
from xbayes.app.volunteers.roles import require
from xbayes.app.volunteers.sessions import (
    account_of_session,
    csrf_token,
    is_csrf_token,
    log_out,
    remove_expired,
)
from xbayes.app.volunteers.tables import LogIn, ResetLink, Role, User, Vote
from xbayes.errors import InputError


def login(database, name, password=PASSWORD, limits=None, **more):
    credentials = Credentials(name=name, password=password, address="192.0.2.1")
    return log_in(database, limits or LogInLimits(), credentials, **{"now": NOON, **more})


def stored(database, column):
    with database.read() as session:
        return session.scalars(select(column)).all()


def test_sign_up_log_in_and_log_out(database):
    made = new_account(database, "Vera Rubin")
    assert account_of_session(database, made.token, now=NOON) == made.account
    assert made.account.role is Role.VOLUNTEER and not made.account.guest
    again = login(database, " vera RUBIN ", old_token=made.token)
    assert account_of_session(database, made.token, now=NOON) is None, "the session is rotated"
    assert account_of_session(database, again.token, now=NOON).name == "Vera Rubin"
    log_out(database, again.token)
    assert account_of_session(database, again.token, now=NOON) is None
    assert account_of_session(database, "", now=NOON) is None
    assert account_of_session(database, None, now=NOON) is None


def test_tokens_and_passwords_are_stored_as_hashes_only(database):
    made = new_account(database, "Vera")
    link, _ = make_admin(database, "Vera")
    (hashed,) = stored(database, User.password_hash)
    assert hashed.startswith("$argon2id$") and PASSWORD not in hashed
    held = [*stored(database, LogIn.token_hash), *stored(database, ResetLink.token_hash)]
    assert made.token not in held and link not in held and len(held) == 2


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "x" * 31,
        "a@b.c",
        "two  spaces",
        "<b>",
        "admin",
        "Guest 7",
        "former-3",
        "-dash",
        "tab\tbed",
        "a\u202eb",
    ],
)
def test_names_that_are_not_allowed(name):
    with pytest.raises(InputError, match="name"):
        clean_name(name)


def test_a_name_is_taken_whatever_its_case_and_form(database):
    new_account(database, "Éloïse")
    for name in ("éloïse", "E\u0301loi\u0308se", "ÉLOÏSE"):
        assert name_key(name) == name_key("Éloïse")
        with pytest.raises(InputError, match="taken"):
            new_account(database, name)
    assert clean_name(" Годунов_9 b. ") == "Годунов_9 b."


@pytest.mark.parametrize(
    "weak",
    [
        "short",
        "x" * 129,
        "passwordpassword",
        "P@ssw0rd!2026",
        "123456789012",
        "aaaaaaaaaaaa",
        "abababababab",
        "qwertyuiop123",
        "iloveyou1234",
        "Vera-Rubin-1928",
        "azertyuiop!!",
        "correct horse battery staple",
    ],
)
def test_weak_passwords(weak):
    with pytest.raises(InputError, match="password"):
        check_password(weak, "Vera-Rubin")


@pytest.mark.parametrize(
    "good", [PASSWORD, "пароль из редких слов", "tr0ub4dor&3-lamp", "x" * 3 + "9kQ!vz#pL2m"]
)
def test_good_passwords(good):
    assert check_password(good, "Vera")


def test_a_wrong_login_never_says_what_is_wrong_and_always_hashes(database, monkeypatch):
    new_account(database, "Vera")
    admin = first_admin(database)
    new_guest(database)
    calls, verify = [], passwords.is_password
    monkeypatch.setattr(accounts, "is_password", lambda *a: calls.append(a) or verify(*a))
    messages = set()
    for name, password in (
        ("Vera", "wrong" * 4),
        ("nobody", PASSWORD),
        ("Ada", PASSWORD),
        (" ", PASSWORD),
        ("x" * 1000, PASSWORD),
        ("Vera", "x" * 10_000),
    ):
        with pytest.raises(WrongLogin) as wrong:
            login(database, name, password)
        messages.add(str(wrong.value))
    assert len(messages) == 1 and len(calls) == 6
    assert admin


def test_failed_logins_are_limited_by_name_and_by_address(database):
    account(database, "Vera"), account(database, "Ada Bee")
    limits = LogInLimits(by_name=3, by_address=5)
    for _ in range(20):
        login(database, "Vera", limits=limits)  # success does not count
    for _ in range(3):
        with pytest.raises(WrongLogin):
            login(database, "Vera", "wrong", limits)
    with pytest.raises(TooOften, match="15 minutes") as stopped:
        login(database, "vera", limits=limits)
    assert stopped.value.wait == 900
    with pytest.raises(WrongLogin):
        login(database, "Ada Bee", "wrong", limits)
    with pytest.raises(TooOften):
        login(database, "Ada Bee", limits=limits)  # the address
    assert login(database, "Vera", limits=limits, now=NOON + timedelta(minutes=16))


def test_many_attempts_at_once_do_not_slip_through(database):
    account(database, "Vera")
    limits, found = LogInLimits(by_name=3), []

    def attempt():
        try:
            login(database, "Vera", "wrong", limits)
        except InputError as error:
            found.append(type(error))

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count(WrongLogin) == 3 and found.count(TooOften) == 5


def test_sessions_expire(database):
    made = new_account(database, "Vera")
    assert account_of_session(database, made.token, now=NOON + days(6.9))
    assert account_of_session(database, made.token, now=NOON + days(13)), "it was used meanwhile"
    for after in (20.5, 29):
        account_of_session(database, made.token, now=NOON + days(after))
    assert account_of_session(database, made.token, now=NOON + days(30)) is None
    idle = login(database, "Vera")
    assert account_of_session(database, idle.token, now=NOON + days(7)) is None
    remove_expired(database, now=NOON + days(40))
    assert stored(database, LogIn.token_hash) == []


def test_guests_become_accounts_and_keep_their_votes(database):
    guest = new_guest(database)
    assert guest.account.guest and guest.account.name.startswith("guest-")
    vote(database, guest.account.id, "s1")
    made = new_account(database, "Vera", guest_token=guest.token)
    assert made.account.id == guest.account.id and not made.account.guest
    assert progress(database, made.account.id, now=NOON).n_votes == 1
    assert account_of_session(database, guest.token, now=NOON) is None
    other = new_account(database, "Henrietta", guest_token=made.token)
    assert other.account.id != made.account.id, "an account is nobody's guest"
    with pytest.raises(WrongLogin):
        login(database, guest.account.name, "")


def test_a_taken_name_leaves_the_guest_as_it_was(database):
    new_account(database, "Vera")
    guest = new_guest(database)
    with pytest.raises(InputError, match="taken"):
        new_account(database, "vera", guest_token=guest.token)
    assert account_of_session(database, guest.token, now=NOON).guest


def test_old_guests_without_votes_are_removed(database):
    idle, voter = new_guest(database).account.id, new_guest(database).account.id
    vote(database, voter, "s1")
    assert remove_expired(database, now=NOON + days(20)) == 0
    assert remove_expired(database, now=NOON + days(31)) == 1
    assert stored(database, User.id) == [voter]
    assert new_guest(database).account.id > voter > idle, "numbers are not used again"


def test_consent_is_needed_and_can_be_renewed(database):
    with pytest.raises(InputError, match="consent"):
        create_guest(database, Consent(version="2020-01"), "en")
    with pytest.raises(InputError, match="consent"):
        sign_up(database, Credentials(name="Vera", password=PASSWORD), Consent(version=""))
    with pytest.raises(InputError, match="languages"):
        create_guest(database, Consent(), "xx")
    made = new_account(database, "Vera")
    give_consent(database, made.account.id, Consent(keep_votes=False), now=NOON)
    assert not account_of_session(database, made.token, now=NOON).keep_votes


def test_changing_the_password_ends_all_sessions(database):
    made, limits = new_account(database, "Vera"), LogInLimits(by_name=2)
    other = login(database, "Vera")
    user = made.account.id
    with pytest.raises(InputError, match="guessed"):
        change_password(database, limits, user, PASSWORD, "passwordpassword", now=NOON)
    new = change_password(database, limits, user, PASSWORD, "glacier-mantis-violin", now=NOON)
    for token in (made.token, other.token):
        assert account_of_session(database, token, now=NOON) is None
    assert account_of_session(database, new.token, now=NOON)
    for _ in range(2):
        with pytest.raises(WrongLogin):
            change_password(database, limits, user, PASSWORD, "glacier-mantis-vio", now=NOON)
    with pytest.raises(TooOften):
        change_password(database, limits, user, "glacier-mantis-violin", PASSWORD, now=NOON)


def test_a_reset_link_works_once_for_a_day_and_only_the_newest(either):
    database = either
    admin, user = first_admin(database), account(database, "Vera")
    late = issue_reset_link(database, admin, user, now=NOON - days(1))
    with pytest.raises(Missing):
        use_reset_link(database, late, "glacier-mantis-violin", now=NOON)
    old = issue_reset_link(database, admin, user, now=NOON)
    new = issue_reset_link(database, admin, user, now=NOON)
    before = login(database, "Vera")
    with pytest.raises(InputError, match="guessed"):
        use_reset_link(database, new, "passwordpassword", now=NOON)
    made = use_reset_link(database, new, "glacier-mantis-violin", now=NOON)
    assert made.account.id == user
    assert account_of_session(database, before.token, now=NOON) is None
    for token in (old, new, "x"):
        with pytest.raises(Missing):
            use_reset_link(database, token, "glacier-mantis-violin", now=NOON)
    assert login(database, "Vera", "glacier-mantis-violin")


def test_only_admins_issue_links_and_give_roles(database):
    admin, user = first_admin(database), account(database, "Vera")
    others = [account(database, f"Bea {role}", role) for role in Role if role is not Role.ADMIN]
    for other in others:
        for action in (
            lambda by: issue_reset_link(database, by, user),
            lambda by: set_role(database, by, by, Role.ADMIN),
            lambda by: audit_log(database, by),
        ):
            with pytest.raises(Forbidden, match="admin"):
                action(other)
    set_role(database, admin, user, Role.RESEARCHER, now=NOON)
    names = {u.name: u.role for u in list_users(database, admin)}
    assert names["Vera"] is Role.RESEARCHER
    with pytest.raises(Forbidden):
        list_users(database, user)
    assert [u.name for u in list_users(database, admin, name="VER")] == ["Vera"]


def test_the_last_admin_stays(database):
    admin = first_admin(database)
    with pytest.raises(Forbidden, match="last admin"):
        set_role(database, admin, admin, Role.VOLUNTEER)
    with pytest.raises(WrongLogin):
        delete_account(database, LogInLimits(), admin, PASSWORD, now=NOON)
    second = account(database, "Bea", Role.ADMIN)
    set_role(database, second, admin, Role.VOLUNTEER)
    with pytest.raises(Forbidden, match="last admin"):
        delete_account(database, LogInLimits(), second, PASSWORD, now=NOON)


def test_require():
    with pytest.raises(Forbidden, match="log in"):
        require(None, Role.VOLUNTEER)


@pytest.mark.parametrize("has", Role)
@pytest.mark.parametrize("needs", Role)
def test_a_role_may_do_all_that_lower_roles_may(database, has, needs):
    account(database, "Vera", has)
    signed = login(database, "Vera")
    if list(Role).index(has) >= list(Role).index(needs):
        assert require(signed.account, needs) == signed.account
    else:
        with pytest.raises(Forbidden, match=needs.value):
            require(signed.account, needs)


def test_a_new_role_holds_at_once_and_ends_the_sessions(database):
    admin, user = first_admin(database), account(database, "Vera", Role.MODERATOR)
    token = login(database, "Vera").token
    set_role(database, admin, user, Role.VOLUNTEER)
    assert account_of_session(database, token, now=NOON) is None


@pytest.mark.parametrize("keep", [True, False])
def test_deletion_keeps_or_removes_votes_as_agreed(either, keep):
    database, limits = either, LogInLimits()
    made = new_account(database, "Vera")
    user, other = made.account.id, account(database, "Bea")
    give_consent(database, user, Consent(keep_votes=keep), now=NOON)
    admin = first_admin(database)
    set_role(database, admin, user, Role.RESEARCHER, now=NOON)
    vote(database, user, "s1", comment="I am Vera")
    vote(database, other, "s1")
    add_post(database, user, "demo", "s1", "I am Vera", now=NOON)
    with pytest.raises(WrongLogin):
        delete_account(database, limits, user, "wrong", now=NOON)
    delete_account(database, limits, user, PASSWORD, now=NOON)
    assert account_of_session(database, made.token, now=NOON) is None
    assert discussion(database, "demo", "s1") == []
    with database.read() as session:
        row = session.get(User, user)
        assert row.name == f"former-{user}" and row.password_hash is None
        votes = session.scalars(select(Vote).where(Vote.user_id == user)).all()
        assert [v.comment for v in votes] == ([""] if keep else [])
        assert session.scalar(select(func.count(Vote.id))) == 1 + keep
    with pytest.raises(WrongLogin):
        login(database, "Vera")
    assert not [entry for entry in audit_log(database, admin) if "Vera" in str(entry)]
    assert audit_log(database, admin)[0].target == f"former-{user}"
    assert new_account(database, "Vera").account.id != user, "the name is free"


def test_a_guest_deletes_itself_without_a_password(database):
    guest = new_guest(database)
    vote(database, guest.account.id, "s1")
    delete_account(database, LogInLimits(), guest.account.id, "", keep_votes=False, now=NOON)
    assert stored(database, Vote.id) == []
    assert account_of_session(database, guest.token, now=NOON) is None


def test_a_form_token_belongs_to_its_session():
    assert is_csrf_token("one", csrf_token("one"))
    assert not is_csrf_token("two", csrf_token("one"))
    assert not is_csrf_token("one", "é")
