"""Each reason code is given by the rule of its name, and leads to its action."""

import textwrap

import pytest

from pg_envs.data.cleaning.rules import RULES, clean_passage

NOTICE = "This e-book is free of royalties; permission is given to redistribute it. No warranty. See https://www.example.org/licence. "
NOTES = "The MS. has this reading (ed. Morris, p. 12); cf. l. 345 and the editor's footnote in the fourteenth century manuscript. "
LATIN = (
    "Gallia est omnis divisa in partes tres, quarum unam incolunt Belgae, aliam Aquitani, tertiam qui ipsorum lingua Celtae appellantur. "
)
DOCUMENT = {"document_id": "known"}


def changed(old, new, count=-1):
    return lambda modern: {"content": modern.replace(old, new, count)}


def run_together(modern):
    for pair in ("to the", "at the", "of every", "for he", "and from"):
        modern = modern.replace(pair, pair.replace(" ", ""), 1)
    return {"content": modern}


CASES = {
    "no-content": ("drop", lambda modern: {"content": " "}),
    "bad-fields": ("repair", lambda modern: {"author": 3}),
    "no-source": ("repair", lambda modern: {"source_dataset": None, "creation_year": 1850, **DOCUMENT}),
    "year-type": ("repair", lambda modern: {"creation_year": "1900"}),
    "no-year": ("repair", lambda modern: {"creation_year": None, **DOCUMENT}),
    "mojibake": ("repair", changed("road", "“road”".encode().decode("latin-1"))),
    "markup": ("repair", changed("house", "<b>house</b>", 1)),
    "invisible-characters": ("repair", changed("father", "fa\u200bther")),
    "line-end-marks": ("repair", changed("father", "fa∣ther")),
    "electronic-text": ("drop", lambda modern: {"content": NOTICE * 20}),
    "editors-brackets": ("repair", changed("road", "road [note: now a street]")),
    "running-heads": ("repair", changed("beyond it. In", "beyond\n\nTHE LONG ROAD 12\n\nit. In", 1)),
    "misread-letters": ("repair", changed("windows", "w!ndows")),
    "joined-words": ("repair", run_together),
    "hard-wraps": ("repair", lambda modern: {"content": textwrap.fill(modern, 70)}),
    "gaps": ("drop", changed("her", "h〈◊〉r")),
    "editors-matter": ("drop", lambda modern: {"content": NOTES * 10}),
    "foreign-language": ("drop", lambda modern: {"content": LATIN * 10}),
    "document-year": ("relabel", lambda modern: {"creation_year": 1500, **DOCUMENT}),
    "author-year": ("relabel", lambda modern: {"author": "Lloyd, Robert, 1733-1764"}),
    "impossible-year": ("drop", lambda modern: {"creation_year": 1300}),
    "too-short": ("drop", lambda modern: {"content": modern[:900]}),
    "too-long": (
        "split",
        lambda modern: {"content": "\n\n".join(f"{modern}{word}" for word in ("one", "two", "three", "four", "five") * 2)},
    ),
    "duplicate": ("drop", lambda modern: {"content": modern + "And that was all. "}),
    "near-duplicate": ("drop", lambda modern: {"content": modern + "And that was all, or so. "}),
}


def test_there_is_a_case_for_each_code():
    assert list(CASES) == list(RULES)


@pytest.mark.parametrize("code", CASES)
def test_a_passage_with_one_fault_gets_its_code_and_action(passage, context, modern, code):
    for _ in range(4):
        context.documents.add({"creation_year": 1850, "source_dataset": "x", **DOCUMENT})
    if code.endswith("duplicate"):
        context.seen.keep("first", modern + "And that was all. ")
    action, spoil = CASES[code]
    cleaned = clean_passage({**passage(modern), **spoil(modern)}, context, "any")
    assert [(reason, done) for reason, done, _ in cleaned.findings] == [(code, action)]
    assert cleaned.action == action
    assert all(part["cleaning"] == [code] for part in cleaned.kept)
