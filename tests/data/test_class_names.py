"""Which names of class folders are one name, and which are none."""

import pytest

from regraft.data.class_names import check_class_names, group_by_key, key_of, look_alikes, place_of, unseen_in
from regraft.errors import FolderError


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Cat", "cat"),
        ("dog", "dog "),
        ("hot dog", " Hot  dog"),
        ("caf\u00e9", "cafe\u0301"),
        ("CAF\u00c9", "cafe\u0301"),
        ("dog", "dog\u200b"),
        ("dog", "\u202edog"),
        ("\u2764", "\u2764\ufe0f"),  # a heart as text, and as a picture
        ("\u212bngstrom", "\u00e5ngstrom"),  # the sign of the unit, and the letter
    ],
)
def test_writings_of_one_name_have_one_key(name, other):
    assert key_of(name) == key_of(other)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("cat", "cats"),
        ("cafe", "caf\u00e9"),
        ("Ma\u00dfe", "Masse"),
        ("hotdog", "hot dog"),
        ("dog-1", "dog_1"),
        ("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc", "\u0646\u0627\u0645\u0647\u0627\u06cc"),  # letters of Persian
    ],
)
def test_different_names_have_different_keys(name, other):
    assert key_of(name) != key_of(other)


def test_a_name_is_found_as_it_is_written_and_else_in_another_writing():
    names = ("dog", "caf\u00e9", "Dog")
    assert [place_of(name, names) for name in ("Dog", "dog ", "CAFE\u0301", "cow")] == [2, 0, 1, None]


def test_the_plainest_writing_comes_first():
    assert group_by_key(["dog ", "Dog", "dog", "bee"]) == {"bee": ["bee"], "dog": ["Dog", "dog", "dog "]}
    assert group_by_key(["cafe\u0301", "caf\u00e9"])["caf\u00e9"][0] == "caf\u00e9"


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "\udcff", "\x7f"])
def test_a_name_that_is_no_line_of_text_is_refused(name):
    with pytest.raises(FolderError, match="UTF-8 names without control characters; received") as caught:
        check_class_names(["cat", name], "photos")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", [" ", "\u200b", "\u202e \u00a0"])
def test_a_name_that_nobody_sees_is_refused(name):
    with pytest.raises(FolderError, match="names that can be seen; received"):
        check_class_names(["cat", name], "photos")


def test_letters_that_nobody_sees_are_named_by_their_number():
    assert unseen_in("ab\u202ec\u2028") == ["U+202E", "U+2028"]
    assert unseen_in("caf\u00e9 \u0646\u0627\u0645\u0647\u200c\u0627\u06cc") == []


def test_names_that_look_alike_in_other_letters_are_found_and_stay_different():
    fish, cat, micro, quote = "\ufb01sh", "\u0441at", "\u00b5m", "o\u2019neil"  # a ligature, a Cyrillic c, two signs
    names = ["fish", fish, "cat", cat, "\u03bcm", micro, "o'neil", quote, "bat", "\u043a\u043e\u0442"]
    groups = [["fish", fish], ["cat", cat], ["\u03bcm", micro], ["o'neil", quote]]
    assert look_alikes(names) == groups
    assert all(key_of(name) != key_of(other) for name, other in groups)
