"""A questionnaire's two halves, read and split once."""

from __future__ import annotations

from functools import lru_cache

from pg_envs.history.base import Survey
from pg_envs.values.items import Questionnaire
from pg_envs.values.questionnaire import load_questionnaire


@lru_cache(maxsize=8)
def halves(source: str) -> tuple[Survey, Questionnaire, str]:
    """What humans are surveyed on, what values are measured on, and the whole questionnaire's hash; see ``load_questionnaire``."""
    questionnaire = load_questionnaire(source)
    survey, evaluation = questionnaire.split()
    return Survey(survey), evaluation, questionnaire.content_hash
