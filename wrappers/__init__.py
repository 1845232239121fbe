"""Wrappers around the environments. Importing them loads neither torch nor wandb."""

from wrappers.adapter_mixture import AdapterMixture
from wrappers.noisy_humans import NoisyHumans
from wrappers.preference_dataset import PreferenceDataset
from wrappers.query_budget import QueryBudget
from wrappers.record_episode import RecordEpisode
from wrappers.value_readings import ValueReadings
from wrappers.vector_reward import VectorReward
from wrappers.wandb_logger import WandbLogger

__all__ = [
    "AdapterMixture",
    "NoisyHumans",
    "PreferenceDataset",
    "QueryBudget",
    "RecordEpisode",
    "ValueReadings",
    "VectorReward",
    "WandbLogger",
]
