"""Rules about misread letters, lost spaces, running heads and gaps."""

import random

import pytest

from pg_envs.data.cleaning.noise import gaps, joined_words, misread_letters, running_heads
from pg_envs.data.cleaning.words import Vocabulary


def run_together(text):
    for pair in ("to the", "at the", "of every", "for he", "and from", "would run"):
        text = text.replace(pair, pair.replace(" ", ""), 1)
    return text


def test_joined_words_are_parted(passage, context, modern):
    verdict = joined_words(passage(run_together(modern)), context)
    # "wouldrun" has no function word and stays.
    assert verdict.passages[0]["content"] == modern.replace("would run", "wouldrun", 1)


def test_early_spelling_is_not_parted(passage, context, middle_english):
    early = middle_english + " Whome weare aswell shalbe tobe inthe forto nomore." * 5
    assert joined_words(passage(early, 1380), context) is None


def test_a_few_compounds_are_not_parted(passage, context, modern):
    assert joined_words(passage(modern + "The timesheet onboarding screenshot. " * 10), context) is None
    repeated = "Oceana and OCEANA, the Governour and a governour, Willowby, InSite, Onboarding, onboarding. "
    assert joined_words(passage(modern + repeated * 10), context) is None


def test_early_spellings_names_and_words_with_apostrophes_are_not_parted(passage, context, modern):
    early = "The Governour would inlarge and inclose withall; Oceana and Jenkinson inclin'd. "
    verdict = joined_words(passage(run_together(modern) + early, 1660), context)
    assert verdict.passages[0]["content"] == modern.replace("would run", "wouldrun", 1) + early


def test_spelling_that_the_list_half_knows_is_not_parted(passage, context, modern):
    spoilt = run_together(modern)
    n_words = len(spoilt.split())
    assert joined_words(passage(spoilt + " knyght" * (n_words // 8)), context)
    assert joined_words(passage(spoilt + " knyght" * (n_words // 2)), context) is None  # two thirds known


def test_pairs_need_one_reading():
    words = Vocabulary()
    assert words.joined_pair("ideaof") == ("idea", "of")
    assert words.joined_pair("Thecountry") == ("The", "country")
    assert words.joined_pair("before") is None
    assert words.joined_pair("timesheet") is None


def test_misread_letters_are_put_right(passage, context, modern):
    spoilt = (
        modern.replace("their", "the!r")
        .replace("sailor", "sai1or")
        .replace("mother", "m0ther")
        .replace("name", "narne")
        .replace("youth", "yonth")
    )
    spoilt = spoilt.replace("windows", "w!ndows").replace("river and", "river ■ and")
    verdict = misread_letters(passage(spoilt), context)
    assert verdict.passages[0]["content"] == modern


def test_long_s_is_no_misreading_and_is_no_obstacle_to_one(passage, context, modern):
    long_s = modern.replace("stood", "ſtood").replace("sailor", "ſailor") + "He took his ſeat. "
    spoilt = long_s.replace("ſailor", "ſa!lor").replace("name", "na1ne")
    spoilt = spoilt.replace("na1ne", "narne", 2).replace("na1ne", "name").replace("windows", "w!ndows")
    assert misread_letters(passage(spoilt, 1750), context).passages[0]["content"] == long_s


@pytest.mark.parametrize("word", ["haue", "loue", "wiues", "diuers", "giue", "hee", "forc'd", "vpon", "mickle"])
def test_sound_early_words_on_a_misread_page_stay(passage, context, modern, word):
    page = (modern + f"There was {word} of all. ").replace("river", "riuer").replace("their", "theyr")
    spoilt = page.replace("windows", "w!nd0ws").replace("riuer", "r!uer").replace("country", "c0untry")
    assert misread_letters(passage(spoilt, 1605), context).passages[0]["content"] == page


@pytest.mark.parametrize("word", ["wou'd", "cou'd", "forc'd", "confin’d", "’twas"])
def test_words_next_to_an_apostrophe_stay(passage, context, modern, word):
    page = modern + f"There {word} be more. "
    spoilt = page.replace("windows", "w!ndows").replace("country", "c0untry")
    assert misread_letters(passage(spoilt, 1740), context).passages[0]["content"] == page


def test_misread_early_english_is_found_noisy_and_kept(passage, context, middle_english):
    spoilt = middle_english.replace("kyng", "k!ng").replace("wille", "wi11e").replace("herde", "h■erde")
    verdict = misread_letters(passage(spoilt, 1380), context)
    assert verdict.action == "repair"
    assert verdict.passages[0]["content"] == middle_english.replace("kyng", "king")
    assert misread_letters(passage("k!ng of wa1es " * 100, 1380), context).action == "drop"


def test_from_1700_on_what_the_list_does_not_know_is_dropped_if_misread(passage, context, modern):
    spoilt = modern.replace("windows", "w!ndows").replace("country", "c0untry")
    n_words = len(spoilt.split())
    assert misread_letters(passage(spoilt + " knyght" * (n_words // 8), 1750), context).action == "repair"
    assert misread_letters(passage(spoilt + " knyght" * (n_words // 2), 1750), context).action == "drop"  # two thirds known


def test_numbers_names_and_exclamations_are_not_misread_letters(passage, context, modern):
    assert misread_letters(passage(modern + "O! Hark! 1st 2nd B-52s R2D2 10th MP3s! a1 " * 10), context) is None


def test_what_cannot_be_put_right_is_dropped(passage, context):
    generator = random.Random(0)
    text = " ".join("".join(generator.choice("abcdefghijklmnopqrstuvwxyz0!1") for _ in range(6)) for _ in range(400))
    assert misread_letters(passage(text), context).action == "drop"


def test_running_heads_go(passage, context):
    text = "we were of the\n\nPRIDE AND PREJUDICE. 242\n\nsame mind. He went.\n\n244 PRIDE AND PREJUDICE\n\nThe next day"
    verdict = running_heads(passage(text, source_document="Pride and Prejudice"), context)
    assert verdict.passages[0]["content"] == "we were of the same mind. He went.\n\nThe next day"


def test_headings_stay(passage, context):
    text = "and sang.\n\nPSALM 12\n\nSave me, Lord.\n\nCHAPTER IV. 3\n\nIn which\n\nACT 2"
    assert running_heads(passage(text, source_document="The Psalter"), context) is None


def test_gaps(passage, context):
    assert gaps(passage("a〈◊〉b" * 10 + "x" * 4000), context) is None
    assert gaps(passage("a〈◊〉b" * 20 + "x" * 4000), context).action == "drop"


def test_raised_letters_and_marks_of_shortening_are_no_noise(passage, context):
    text = "I haue receiued y^e letter w^ch yo^r seruant gaue mee, & wth y^e same loue co~mend mee to y^or wife. " * 6
    assert misread_letters(passage(text, 1640), context) is None
