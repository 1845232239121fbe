"""Rules about characters."""

import textwrap

import ftfy  # noqa: F401 - registers sloppy-windows-1252, which has a sign for every byte
import pytest

from pg_envs.data.cleaning.characters import hard_wraps, invisible, line_end_marks, markup, mojibake


def text_after(rule, passage, context):
    verdict = rule(passage, context)
    return None if verdict is None else verdict.passages[0]["content"]


def test_mojibake_of_early_letters_is_decoded_again(passage, context, middle_english):
    for wrong in ("latin-1", "sloppy-windows-1252"):
        spoilt = middle_english.encode().decode(wrong)
        assert text_after(mojibake, passage(spoilt), context) == middle_english


@pytest.mark.parametrize(
    "text", ["þe ȝong ſonne, ðat is & ẏ", "Læ¯¯t nu Drihhtin", "“curly” ﬁne ﬂat…", "café Ærø naïve", "⁊ þ̱ ꝑ 〈◊〉 re¦warde"]
)
def test_early_letters_and_signs_are_left_alone(passage, context, text):
    for rule in (mojibake, markup, invisible, line_end_marks):
        assert rule(passage(text), context) is None


def test_tags_become_paragraphs_and_gaps(passage, context):
    text = (
        '<?xml version="1.0"?><head><title>No</title></head>\n<p>I <hi>praie</hi> you\n  re<g ref="char:EOLhyphen"/>ligious.</p> '
        "<l>One &amp; <gap/>wo</l><script>x()</script>"
    )
    assert text_after(markup, passage(text), context) == "I praie you religious.\n\nOne & 〈◊〉wo"


def test_a_tag_cut_off_at_the_start_goes(passage, context):
    assert text_after(markup, passage('pi" FMT="TIFF6.0" N="1"/>IN Saynt Bede &amp; al'), context) == "IN Saynt Bede & al"


@pytest.mark.parametrize("text", ["a < b and c > d", "a <b> here", "hise sinne &c; AT&T; R&D", "&regnum; &notable;", "<1> and <2> and <3>"])
def test_what_only_looks_like_markup(passage, context, text):
    assert markup(passage(text), context) is None


def test_invisible_characters(passage, context):
    assert text_after(invisible, passage("a\u200bb\x00 c\u00a0d\r\ne\x0cf\ufeff"), context) == "ab c d\ne\nf"


def test_marks_of_line_ends(passage, context):
    assert text_after(line_end_marks, passage("expe∣rience, ab\u00adso∣\nlute"), context) == "experience, absolute"
    assert text_after(line_end_marks, passage("be|ing imper|fect Im|provements"), context) == "being imperfect Improvements"
    assert line_end_marks(passage("one|two in a table"), context) is None
    assert line_end_marks(passage("a well-\nknown name"), context) is None  # one hyphen may be the author's


def test_prose_is_unwrapped_and_verse_is_not(passage, context):
    prose = (
        "Be it known to you that eleven hundred and ninety years after the incarnation of our Lord, in the time of Innocent, Pope of Rome, "
        "and Philip King of France, and Richard King of England, there was in France a holy man named Fulk, the holy man of Neuilly."
    )
    lines = textwrap.wrap(prose, 64)
    verse = "\n".join(line[0].upper() + line[1:] for line in lines)
    assert text_after(hard_wraps, passage("\n".join(lines) + "\n\n" + verse), context) == prose + "\n\n" + verse


VERSE = """muche is bitwene heuene and erthe: for the man that mighte go
euereche daye fourty mile: and yet sumdel mo,
he ne scholde nought to the hexte heuene: that ye alday iseoth
comen in eighte thousend yer: there as the sterres beoth,
and though Adam oure furste fader: hadde bigonne anon
tho he was furst imaked: toward heuene gon,
and hadde euereche daye fourty mile: euene upright igo,
he nadde nought yeot to heuene icome: bi a thousend mile and mo."""


def test_verse_in_lower_case_keeps_its_lines(passage, context):
    assert hard_wraps(passage(VERSE), context) is None
    stanzas = "\n\n".join(["\n".join(VERSE.split("\n")[i : i + 4]) for i in (0, 4)] * 4)
    assert hard_wraps(passage(stanzas), context) is None


def test_the_same_words_broken_at_a_width_are_joined(passage, context):
    prose = " ".join(VERSE.split())
    assert text_after(hard_wraps, passage(textwrap.fill(prose, 70)), context) == prose


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("One <i>word</i> here,\nand a\n\nparagraph", "One word here,\nand a\n\nparagraph"),
        ('See <a href="https://example.org/x">there.', "See there."),
        ("a line,<br/>another", "a line,\nanother"),
        ("<p>It began", "It began"),
        ("it ended.</p>", "it ended."),
        ("the end.\n</div>\n<p>The next", "the end.\n\nThe next"),
    ],
)
def test_one_or_two_tags_of_known_elements_go_and_white_space_stays(passage, context, text, right):
    assert text_after(markup, passage(text), context) == right
