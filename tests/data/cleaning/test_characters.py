"""Rules about characters."""

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
    prose = ["Be it known to you that eleven hundred and ninety years after", "the incarnation of our Lord, in the time of Innocent, Pope"]
    prose += ["of Rome, and Philip King of France, and Richard King of England,", "there was in France a holy man named Fulk, the holy man"]
    verse = [line[0].upper() + line[1:] for line in prose]
    text = "\n".join([*prose, "of Neuilly."]) + "\n\n" + "\n".join([*verse, "Of Neuilly."])
    assert text_after(hard_wraps, passage(text), context) == " ".join([*prose, "of Neuilly."]) + "\n\n" + "\n".join([*verse, "Of Neuilly."])
