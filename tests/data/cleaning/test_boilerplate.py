"""Rules about electronic editions and editors."""

from pg_envs.data.cleaning.boilerplate import editors_brackets, editors_matter, electronic_text

HEADER = """The Project Gutenberg eBook of A Book

Title: A Book

*** START OF THE PROJECT GUTENBERG EBOOK A BOOK ***



Produced by Some Body and the Distributed Proofreading Team



"""
FOOTER = "\n\n*** END OF THE PROJECT GUTENBERG EBOOK A BOOK ***\n\nYou may redistribute this eBook under its licence."


def test_header_credits_and_licence_are_cut_off(passage, context, modern):
    verdict = electronic_text(passage(HEADER + modern + FOOTER, 1850), context)
    assert verdict.passages[0]["content"] == modern.strip()


def test_a_licence_is_dropped(passage, context):
    licence = (
        "Permission is given to redistribute this e-book. No warranty is given. "
        "Any refund is by e-mail; see www.example.org for the terms of use.\n"
    )
    assert electronic_text(passage(licence * 20, 1850), context).action == "drop"


def test_a_mention_is_no_licence(passage, context, modern):
    assert electronic_text(passage(modern + "He read it as an e-book from the Internet Archive.\n\n" * 3, 2015), context) is None
    assert electronic_text(passage(modern + "The warranty and the licence were void; permission was refused.", 1850), context) is None


def test_editors_brackets(passage, context):
    verdict = editors_brackets(passage("the Pope [note: Innocent III,\nelected 1198.] sent [sic] to [1] France"), context)
    assert verdict.passages[0]["content"] == "the Pope sent [sic] to [1] France"


def test_editors_matter(passage, context, modern, middle_english):
    notes = "The MS. has this reading (ed. Morris, p. 12); cf. l. 345 and the editor's footnote in the fourteenth century manuscript. " * 5
    assert editors_matter(passage(notes, 1350), context).action == "drop"
    assert editors_matter(passage(modern, 1850), context) is None
    # Line references alone may be a poem's own numbering.
    assert editors_matter(passage(middle_english + "l. 12 " * 20, 1350), context) is None
