"""Build a history of three periods from a folder of text, record it, and let lifelong DPO follow it.

``python examples/own_history.py [FOLDER] [PLAN]`` puts all of it into FOLDER. The texts are a page each, made up for this example, and
move no values: rewards near 1 mean that there was nothing to follow. Put your own beside another plan, and name that.
"""

import sys
from pathlib import Path

import gymnasium as gym

import pg_envs  # noqa: F401  (registers the environments)
from agents.lifelong_dpo import LifelongDPO, LifelongDPOConfig
from pg_envs.building.build import build_history
from pg_envs.building.ingredients import questionnaire_source
from pg_envs.building.plan_file import read_plan
from pg_envs.display import LiveDisplay, quieten_libraries
from pg_envs.progress import reporting_to
from pg_envs.record import record
from pg_envs.runner import run_episode

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example-own-history")
plan = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "own_history" / "plan.toml"
questionnaire = questionnaire_source(read_plan(plan), plan.parent)
folder.mkdir(parents=True, exist_ok=True)
quieten_libraries()
with LiveDisplay("own history") as display, reporting_to(display.report):
    family = build_history(plan, folder / "family")
    recording = record(folder / "recording", f"built:{folder / 'family'}", questionnaire)
    env = gym.make("ProgressGym/Follow-v0", history=f"recorded:{recording}", questionnaire=questionnaire)
    episode = run_episode(env, LifelongDPO(env, LifelongDPOConfig(seed=0), folder / "policies"), seed=0)
for step in episode.trace:
    print(f"{step['century_label']}: reward {step['reward']:+.3f}")
print(f"score {episode.episode_score():+.3f}; the family and its model cards in {folder / 'family'}")
env.close()
