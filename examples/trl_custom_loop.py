"""TRL's GRPOTrainer over the last three centuries of histtiny: an objective of the interaction is a reward function, LoRA is PEFT's.

Takes the number of training steps a century; with 8, the default, about two minutes of one core.
"""

import sys
import tempfile

import gymnasium as gym
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

import pg_envs  # noqa: F401  (registers the environments)
from pg_envs.models.tuning import finetune
from pg_envs.models.tuning_config import TuningConfig, trainer_arguments

WEIGHTS = {"agreement": 1.0, "validity": 0.5, "brevity": 0.1}
N_PROMPTS, N_SAMPLES = 8, 4  # a training step has 8 prompts, each answered 4 times

policies = tempfile.mkdtemp(prefix="trl-custom-loop-")
n_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 8
env = gym.make("ProgressGym/Follow-v0", centuries=("C019", "C021"))
observation, info = env.reset(seed=0)
policy, terminated = env.unwrapped.initial_policy, False
task = env.unwrapped.interaction()  # asks and scores by the century in view, whichever it is


def reward(objective):
    """A reward function as TRL calls it; prompts and completions are lists of turns."""

    def judge(prompts, completions, **columns):
        return [task.score([*prompt, *completion])[objective] for prompt, completion in zip(prompts, completions, strict=True)]

    judge.__name__ = objective
    return judge


def make_trainer(model, tokenizer, scratch):
    """GRPO on prompts of one seed a step; all samples of a group answer the same prompt of the same seed."""
    first_seed = 1000 * env.unwrapped.century
    rows = [row for seed in range(first_seed, first_seed + n_steps) for row in task.prompts(seed, N_PROMPTS)]
    arguments = GRPOConfig(
        **trainer_arguments(TuningConfig(learning_rate=1e-3, batch_size=N_PROMPTS * N_SAMPLES), scratch, seed=0),
        num_generations=N_SAMPLES,
        max_completion_length=4,
        beta=0.05,
        reward_weights=list(WEIGHTS.values()),
        shuffle_dataset=False,
        generation_kwargs={"use_cache": True},
    )
    data = Dataset.from_list(rows)  # prompt, seed, and what TRL hands on to reward functions: answers, item_id
    return GRPOTrainer(model, [reward(objective) for objective in WEIGHTS], arguments, train_dataset=data, processing_class=tokenizer)


while not terminated:
    folder = f"{policies}/{env.unwrapped.history.labels[observation['century']]}"
    # Loads the policy as a PeftModel, lets any Hugging Face trainer train its adapter, and saves that as safetensors.
    policy = finetune(policy, folder, make_trainer, seed=0, config=TuningConfig(), what="GRPO")
    observation, score, terminated, truncated, info = env.step(policy)
    print(f"{info['century_label']}: reward {score:+.3f} after {n_steps} steps and {info['n_queries']} questions")
env.close()
