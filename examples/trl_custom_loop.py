"""TRL's GRPOTrainer over the last three centuries of histtiny: an objective of the interaction is a reward function, LoRA is PEFT's.

Takes the number of training steps a century; with 16, the default, about a minute of two cores.
"""

import statistics
import sys
import tempfile

import gymnasium as gym
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

import pg_envs  # noqa: F401  (registers the environments)
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.models.tuning import finetune
from pg_envs.models.tuning_config import TuningConfig, trainer_arguments

WEIGHTS = {"agreement": 1.0, "validity": 0.5, "brevity": 0.1}
N_PROMPTS, N_SAMPLES = 8, 4  # a training step has 8 prompts, each answered 4 times
N_JUDGED = 64
ENVIRONMENT = {"id": "ProgressGym/Follow-v0", "centuries": ("C019", "C021")}


def reward_function(task, objective):
    """A reward function as TRL calls it; prompts and completions are lists of turns."""

    def judge(prompts, completions, **columns):
        return [task.score([*prompt, *completion])[objective] for prompt, completion in zip(prompts, completions, strict=True)]

    judge.__name__ = objective
    return judge


def train(task, policy, folder, seed, n_steps, weights):
    """GRPO on prompts of one seed a step; all samples of a group answer the same prompt of the same seed."""
    rows = [row for step in range(n_steps) for row in task.prompts(1000 * seed + step, N_PROMPTS)]
    data = Dataset.from_list(rows)  # prompt, seed, and what TRL hands on to reward functions: answers, item_id
    functions = [reward_function(task, objective) for objective in weights]

    def make_trainer(model, tokenizer, scratch):
        arguments = GRPOConfig(
            **trainer_arguments(TuningConfig(learning_rate=1e-3, batch_size=N_PROMPTS * N_SAMPLES), scratch, seed),
            num_generations=N_SAMPLES,
            max_completion_length=4,
            beta=0.05,
            reward_weights=list(weights.values()),
            shuffle_dataset=False,
            generation_kwargs={"use_cache": True},
        )
        return GRPOTrainer(model, functions, arguments, train_dataset=data, processing_class=tokenizer)

    # Loads the policy as a PeftModel, lets any Hugging Face trainer train its adapter, and saves that as safetensors.
    return finetune(policy, folder, make_trainer, seed=seed, config=TuningConfig(), what="GRPO")


def agreement(env, policy):
    """How often the humans would vote as the policy answers, on prompts of a seed that training did not have."""
    task = env.unwrapped.interaction(votes_per_comparison=32)
    prompts = [row["prompt"] for row in task.prompts(10**6)[:N_JUDGED]]
    replies = TransformersEngine().generate(policy, prompts, max_new_tokens=4, temperature=0)
    answers = [{"role": "assistant", "content": reply} for reply in replies]
    return statistics.mean(task.score([*prompt, answer])["agreement"] for prompt, answer in zip(prompts, answers, strict=True))


def episode(seed, n_steps, weights, folder):
    """Train in every century; tells of each what came of it, with what the first century's humans, never trained, would have got."""
    env, idle = gym.make(**ENVIRONMENT), gym.make(**ENVIRONMENT)
    observation, _ = env.reset(seed=seed)
    idle.reset(seed=seed)
    policy = never = env.unwrapped.initial_policy
    task = env.unwrapped.interaction()  # asks and scores by the century in view, whichever it is
    terminated = False
    while not terminated:
        label = env.unwrapped.history.labels[observation["century"]]
        # Other seeds for every century, and for every run.
        policy = train(task, policy, f"{folder}/{label}", 10 * seed + env.unwrapped.century, n_steps, weights)
        told = {"century": label, "questions": env.unwrapped.n_queries}
        told |= {"agreement": agreement(env, policy), "agreement_of_never": agreement(env, never)}
        observation, reward, terminated, *_ = env.step(policy)
        yield {**told, "reward": reward, "reward_of_never": idle.step(never)[1]}
    env.close()
    idle.close()


if __name__ == "__main__":
    n_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    for told in episode(0, n_steps, WEIGHTS, tempfile.mkdtemp(prefix="trl-custom-loop-")):
        print(
            f"{told['century']}: reward {told['reward']:+.3f} (never trained {told['reward_of_never']:+.3f}), agreement "
            f"{told['agreement']:.3f} ({told['agreement_of_never']:.3f}) after {n_steps} steps and {told['questions']} questions"
        )
