"""A rewriter as the reward model, on the last four centuries: what it would have written too is rewarded, token by token."""

import sys

import gymnasium as gym

import pg_envs  # noqa: F401  (registers the environments)
from agents.seq2seq_rm import Seq2SeqRM, Seq2SeqRMConfig
from pg_envs.runner import run_episode

folder = sys.argv[1] if len(sys.argv) > 1 else "runs/example-seq2seq-rm"
env = gym.make("ProgressGym/Follow-v0", centuries=("C018", "C021"))
agent = Seq2SeqRM(env, Seq2SeqRMConfig(seed=0), folder)
episode = run_episode(env, agent, seed=0)
for step in episode.trace:
    print(f"{step['century_label']}: reward {step['reward']:+.3f}")
print(f"score {episode.episode_score():+.3f}; policies in {folder}")
for event in agent.events:
    print(f"{event['century']}: {event['event']}")
env.close()
