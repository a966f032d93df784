"""The changed rules of `replay what-if`: how they are given, merged, and held against schema and decision."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.what_if_given import OPEN, open_command
from voucher_ledger.core.records import Command
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.replay.what_if.rules import BadRules, amended, check, merged, of_file, of_setting, together

# The examples of RFC 7396, appendix A: original, patch, result.
MERGES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("original", "patch", "result"), MERGES)
def test_a_patch_is_merged_as_its_standard_says(original: Any, patch: Any, result: Any) -> None:
    kept = orjson.dumps(original)
    assert merged(original, patch) == result
    assert orjson.dumps(original) == kept, "what was recorded was changed"


@pytest.mark.parametrize(
    ("text", "campaign_id", "patch"),
    [
        ("spring.quota=60000", "spring", {"quota": 60000}),
        ("spring.2026.limits.per_user_day=2", "spring.2026", {"limits": {"per_user_day": 2}}),
        ("spring.when_empty=queue", "spring", {"when_empty": "queue"}),
        ("spring.ends_at=2026-02-06T12:00:00Z", "spring", {"ends_at": "2026-02-06T12:00:00Z"}),
        ("spring.release=null", "spring", {"release": None}),
        ('spring.release=[{"at": "x=y.z", "quota": 1}]', "spring", {"release": [{"at": "x=y.z", "quota": 1}]}),
        ("spring.name=a=b", "spring", {"name": "a=b"}),
    ],
)
def test_a_setting_names_campaign_rule_and_value(text: str, campaign_id: str, patch: dict[str, Any]) -> None:
    assert of_setting(text) == {campaign_id: patch}


@pytest.mark.parametrize("text", ["quota=1", "spring.quota", "spring.speed=1", "spring.campaign_id=x", ".quota=1"])
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(BadRules, match="is not of the form"):
        of_setting(text)


def test_a_file_holds_patches_by_campaign() -> None:
    assert of_file("f", b'{"a.b": {"quota": 1}}') == {"a.b": {"quota": 1}}
    for content, why in (
        (b"{", "not JSON"), (b"[]", "must be an object"), (b'{"a": 1}', "must be an object"),
        (b'{"a": {"speed": 1}}', "is no rule"),
    ):  # fmt: skip
        with pytest.raises(BadRules, match=why):
            of_file("f", content)


@given(
    st.lists(st.dictionaries(st.sampled_from("ab"), st.one_of(st.none(), st.integers(), st.just({"c": 1, "d": None}))))
)
def test_patches_put_together_do_what_they_do_one_after_the_other(patches: list[dict[str, Any]]) -> None:
    target: Any = {"a": {"d": 1}, "b": 2}
    whole = together({"x": patch} for patch in patches).get("x", {})
    for patch in patches:
        target = merged(target, patch)
    assert merged({"a": {"d": 1}, "b": 2}, whole) == target


def test_an_opening_is_amended_and_nothing_else_is() -> None:
    opening = open_command()
    changed = amended(opening, {"grey": {"quota": 7}, "other": {"quota": 8}})
    assert (changed.data["quota"], changed.offset, changed.time_ms) == (7, opening.offset, opening.time_ms)
    assert opening.data["quota"] == OPEN["quota"]
    top_up = Command("campaign.top_up", "t", {"campaign_id": "grey", "quota": 1})
    assert amended(top_up, {"grey": {"quota": 7}}) is top_up
    assert amended(opening, {"other": {"quota": 8}}) is opening


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"quota": -1}, "quota"),
        ({"quota": 1.5}, "quota"),
        ({"currency": None}, "currency"),
        ({"ends_at": OPEN["starts_at"]}, "is not after"),
        ({"category_budgets_minor": {"tea": 1}, "categories": ["film"]}, "is not one of data.categories"),
        ({"release": [{"at": OPEN["starts_at"], "quota": OPEN["quota"] + 1}]}, "more than the quota"),
        ({"release": [{"at": OPEN["ends_at"], "quota": 1}]}, "at ends_at or after it"),
    ],
)
def test_rules_that_schema_or_decision_refuse_are_refused(patch: dict[str, Any], why: str) -> None:
    decoder = CommandDecoder("campaign.commands")
    check(decoder, open_command(), {"grey": {"quota": 7}})
    with pytest.raises(BadRules, match=why):
        check(decoder, open_command(), {"grey": patch})
