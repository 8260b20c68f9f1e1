"""What a combined run says of its members."""

from regraft.ensembles.combined import _training_seconds
from regraft.ensembles.members import Member
from regraft.machine.files import to_json


def members(*seconds: float | None) -> list[Member]:
    return [Member(f"member-{place}", None, None, value) for place, value in enumerate(seconds, start=1)]


def test_members_took_as_long_as_all_together():
    assert _training_seconds(members(1.25, 2.5)) == 3.75


def test_where_an_older_member_does_not_say_what_it_took_nothing_is_made_up():
    assert to_json({"seconds": _training_seconds(members(1.25, None))}) == '{"seconds": null}'
