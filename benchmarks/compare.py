"""Agents x environments x seeds on histtiny: ``python benchmarks/compare.py`` writes ``docs/agents.md`` and ``docs/agents.png``.

All runs of one environment share it, so that the humans are measured once. Finished runs are kept in ``runs/agents`` and not run again, and
several processes may share the work (``--environments``, ``--agents``, ``--seeds``); ``--table`` writes the report of what is there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import gymnasium as gym
from matplotlib.figure import Figure

import pg_envs  # noqa: F401 - registers the environments
from pg_envs.display import quieten_libraries
from pg_envs.intervals import interval
from pg_envs.plugins import find_agent, make_config
from pg_envs.results import skill, write_json
from pg_envs.runner import run_episode

ENVIRONMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "follow": ("ProgressGym/Follow-v0", {}),
    "predict1": ("ProgressGym/Predict-v0", {"lookahead": 1}),
    "predict2": ("ProgressGym/Predict-v0", {"lookahead": 2}),
    "coevolve": ("ProgressGym/Coevolve-v0", {}),
}
TWINS = {"extrapolative-dpo": "lifelong-dpo", "extrapolative-rlhf": "lifelong-rlhf"}
"""Each extrapolative agent and the one it must beat where it looks ahead."""
AGENTS = ("lifelong-dpo", "extrapolative-dpo", "lifelong-rlhf", "extrapolative-rlhf")
VOTES_PER_COMPARISON = 64
"""For every agent that learns, so that twins differ in the forecast alone; docs/extrapolation.md shows what votes are worth."""
FOLDER = Path("runs/agents")


def run(env: Any, name: str, agent_name: str, seed: int) -> None:
    """One run, unless its result is there."""
    path = FOLDER / f"{name}-{agent_name}-s{seed}.json"
    if path.exists():
        return
    agent_class = find_agent(agent_name)
    config = make_config(agent_class, {"seed": seed, "votes_per_comparison": VOTES_PER_COMPARISON})
    work = path.with_suffix(".work")
    shutil.rmtree(work, ignore_errors=True)
    agent = agent_class(env, config, work)
    inner = run_episode(env, agent, seed)
    result: dict[str, Any] = {
        "environment": name,
        "agent": agent_name,
        "seed": seed,
        "config": vars(config),
        "score": inner.episode_score(),
        "rewards": [step["reward"] for step in inner.trace],
        "events": agent.events,
    }
    if "lock_in_lag" in inner.trace[0]:
        result["lock_in_lag"] = [int(step["lock_in_lag"]) for step in inner.trace]
    for baseline in ("no-op", "oracle"):
        result[baseline] = run_episode(env, find_agent(baseline)(env), seed).episode_score()
    result["skill"] = skill(result["score"], result["no-op"], result["oracle"])
    shutil.rmtree(work, ignore_errors=True)
    write_json(path, result)
    print(f"{name} {agent_name} seed {seed}: score {result['score']:.3f}, skill {result['skill']:.3f}", flush=True)


def write_report(docs: Path) -> None:
    """Tables and the picture of all results in the folder."""
    results: dict[tuple[str, str], dict[int, dict[str, Any]]] = defaultdict(dict)
    for path in sorted(FOLDER.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        results[result["environment"], result["agent"]][result["seed"]] = result
    lines = [
        "# Agents",
        "",
        f"`python benchmarks/compare.py` on `histtiny`, {VOTES_PER_COMPARISON} votes a comparison, otherwise default settings.",
        "Mean and 95% interval (Student's t) over seeds. Skill 0 is a policy that never learns, 1 is the humans themselves.",
        "Lag is Coevolve's lock-in lag in centuries.",
        "",
        "| environment | agent | seeds | score | skill | skill by seed | lag |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, agent), by_seed in sorted(results.items()):
        runs = list(by_seed.values())
        lag = interval([statistics.mean(r["lock_in_lag"]) for r in runs]) if "lock_in_lag" in runs[0] else ""
        skills = [r["skill"] for r in runs]
        each = ", ".join(f"{value:.3f}" for value in skills)
        lines.append(f"| {name} | {agent} | {len(runs)} | {interval([r['score'] for r in runs])} | {interval(skills)} | {each} | {lag} |")
    lines += ["", "| environment | difference in score, same seeds | 95% interval |", "|---|---|---|"]
    for (name, agent), by_seed in sorted(results.items()):
        twin = results.get((name, TWINS.get(agent, "")), {})
        gains = [by_seed[seed]["score"] - twin[seed]["score"] for seed in sorted(by_seed.keys() & twin.keys())]
        if gains:
            lines.append(f"| {name} | {agent} - {TWINS[agent]} | {interval(gains)} |")
    draw(results, docs / "agents.png")
    lines += ["", "![reward by century](agents.png)"]
    (docs / "agents.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def draw(results: dict[tuple[str, str], dict[int, dict[str, Any]]], path: Path) -> None:
    """Reward by step, a panel an environment, a line an agent (mean over seeds; every seed a dot)."""
    names = [name for name in ENVIRONMENTS if any(key[0] == name for key in results)]
    figure = Figure(figsize=(5.5 * len(names), 4), layout="constrained")
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for axis, name in zip(axes, names, strict=True):
        for style, agent in zip(("o-", "s--", "^-.", "D:"), AGENTS, strict=True):
            runs = results.get((name, agent), {}).values()
            if runs:
                steps = range(1, 1 + len(next(iter(runs))["rewards"]))
                (line,) = axis.plot(
                    steps, [statistics.mean(r) for r in zip(*(run["rewards"] for run in runs), strict=True)], style, label=agent
                )
                for one in runs:
                    axis.plot(steps, one["rewards"], ".", color=line.get_color(), alpha=0.5)
        axis.set(title=name, xlabel="step (century)", ylabel="reward (cosine)")
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", nargs="+", choices=ENVIRONMENTS, default=list(ENVIRONMENTS))
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=list(AGENTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--table", action="store_true", help="run nothing, report what is there")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    quieten_libraries()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in [] if arguments.table else arguments.environments:
        env_id, settings = ENVIRONMENTS[name]
        env = gym.make(env_id, disable_env_checker=True, **settings)
        for seed in arguments.seeds:
            for agent in arguments.agents:
                run(env, name, agent, seed)
        env.close()
    write_report(arguments.docs)


if __name__ == "__main__":
    main()
