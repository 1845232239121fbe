"""The passage schema."""

import pytest

from pg_envs.data.schema import HistTextError, ReadReport, refusal, schema_fault

GOOD = {"content": "Text.", "creation_year": 1215, "source_dataset": "x"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"unheard_of": [1]}, None),
        ({"author": None, "culture": "English", "passage_index": 0}, None),
        ({"content": ""}, "no field 'content'"),
        ({"content": ["x"]}, "field 'content': expected str, found list"),
        ({"creation_year": "1215"}, "field 'creation_year': expected int, found str '1215'"),
        ({"creation_year": True}, "field 'creation_year': expected int, found bool"),
        ({"creation_year": 12150}, "field 'creation_year': 12150 is not between 1200 and 2099"),
        ({"source_dataset": None}, "no field 'source_dataset'"),
        ({"passage_index": "7"}, "field 'passage_index': expected int, found str '7'"),
    ],
)
def test_faults_name_the_field(change, fault):
    found = schema_fault({**GOOD, **change})
    assert (found is None) if fault is None else found.startswith(fault)


def test_what_is_no_object():
    assert schema_fault("text") == "expected an object, found str"


def test_refusing_raises_or_counts():
    report = ReadReport()
    refusal("skip", report)("kind", "message")
    assert report.skipped == {"kind": 1}
    assert report.examples == ["message"]
    with pytest.raises(HistTextError, match="message"):
        refusal("raise", report)("kind", "message")
    with pytest.raises(ValueError, match="on_bad='ignore': expected 'raise' or 'skip'"):
        refusal("ignore", report)
