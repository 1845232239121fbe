"""A context for rules, and clean text to spoil."""

import pytest

from pg_envs.data.cleaning.documents import Documents
from pg_envs.data.cleaning.duplicates import SeenTexts
from pg_envs.data.cleaning.verdict import Context

MODERN = (
    "The house stood at the end of a long road, and from its windows one could see the river and the hills beyond it. "
    "In the morning the children would run down to the water with their father, who had been a sailor in his youth and knew "
    "the name of every ship. Their mother stayed behind to write letters to her brother, for he had gone to another country. "
)
MIDDLE_ENGLISH = (
    "Whan þat þe kyng herde þis, he was ful wroþ & seide to his kniȝtes þat þei sholde wende forþ into þe londe of Walis, and "
    "slee alle þat þei founde þer, for he nolde noȝt þat eny man sholde lyuen aȝens his wille. And þei diden as he hem bad. "
)


@pytest.fixture
def context():
    return Context(Documents(), SeenTexts())


@pytest.fixture
def passage():
    """Makes a passage of a text and fields."""

    def make(content=MODERN * 4, creation_year=1900, **fields):
        return {"content": content, "creation_year": creation_year, "source_dataset": "x", **fields}

    return make


@pytest.fixture
def modern():
    return MODERN * 4


@pytest.fixture
def middle_english():
    return MIDDLE_ENGLISH * 5
