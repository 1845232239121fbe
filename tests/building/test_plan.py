"""Plans of families: what is read, and what is refused before any work."""

import pytest

from pg_envs.building.plan import PlanError
from pg_envs.building.plan_file import read_plan
from pg_envs.models.ref import local_path

LEAST = 'name = "own"\nperiods = ["early", "late"]\nbase = "pg_envs:histtiny/base"\n'
SCRATCH = LEAST.replace('base = "pg_envs:histtiny/base"\n', "")
TEXT = '[text]\nfolder = "texts"\n'


def written(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return path


def test_what_is_not_said_has_defaults(tmp_path):
    plan = read_plan(written(tmp_path, LEAST + TEXT))
    assert plan.all_chains() == (("early",), ("late",))
    assert plan.weights == "lora"
    assert plan.text.held_out_one_in == 10
    assert plan.pretraining.n_excerpts is None


def test_rates_and_sizes_reach_the_training(tmp_path):
    plan = read_plan(written(tmp_path, LEAST + "lora_rank = 4\n" + TEXT + "[pretraining]\nlearning_rate = 1\nsave_every_steps = 7\n"))
    tuning = plan.pretraining.tuning(plan.weights, plan.lora_rank)
    assert (tuning.learning_rate, tuning.save_every_steps, tuning.lora_rank, tuning.lora_alpha) == (1.0, 7, 4, 8)


def test_the_bundled_familys_plan_is_whole():
    plan = read_plan(local_path("pg_envs:histtiny/plan.toml"))
    assert plan.scratch is not None
    assert sorted(label for chain in plan.all_chains() for label in chain) == sorted(plan.periods)
    assert len(plan.periods) == 9


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "plan.toml: "),
        (LEAST, "text: Field required"),
        (LEAST + TEXT + "colour = 1\n", "text.colour: Unexpected"),
        (LEAST + "seed = true\n" + TEXT, "seed: Input should be a valid integer"),
        (LEAST + "seed = 1979-05-27\n" + TEXT, "seed: Input should be a valid integer"),
        (LEAST.replace('"late"', '"early"') + TEXT, "at least two different names"),
        (LEAST.replace('"late"', '"../late"') + TEXT, "as they name folders"),
        (LEAST.replace('"early", "late"', '"C013", "C015"') + TEXT, "at least two different names"),
        (LEAST.replace('base = "pg_envs:histtiny/base"', "") + TEXT, "exactly one of them"),
        (LEAST + TEXT + "[scratch]\n", "exactly one of them"),
        (LEAST + TEXT + '[planted]\ntable = "t.csv"\n[instruction]\nfile = "q.json"\n', "at most one of them"),
        (LEAST + 'weights = "full"\n' + TEXT + '[planted]\ntable = "t.csv"\n', "weights='full': [planted] trains adapters only"),
        (
            LEAST + TEXT + f'[planted]\ntable = "t.csv"\nstages = {10 * [[1, 0.1]]}\n',
            "planted.stages: Tuple should have at most 9 items",
        ),
        (LEAST + TEXT + "[instruction]\n", "expected a file"),
        (LEAST + 'chains = [["early", "early"]]\n' + TEXT, "in at most one"),
        (LEAST + 'chains = [["middle"]]\n' + TEXT, "in at most one"),
        (LEAST + 'weights = "half"\n' + TEXT, "weights: Input should be 'lora' or 'full'"),
        (LEAST + TEXT + '[planted]\ntable = "t.csv"\nstages = []\n', "planted.stages: Tuple should have at least 1 item"),
        (LEAST + TEXT + "[pretraining]\nbatch_size = 0\n", "pretraining.batch_size: Input should be greater than or equal to 1, found 0"),
        (LEAST + TEXT + "[pretraining]\nn_epochs = -1.0\n", "pretraining.n_epochs: Input should be greater than 0, found -1.0"),
        (LEAST + TEXT + "[pretraining]\nlearning_rate = nan\n", "pretraining.learning_rate: Input should be a finite number, found nan"),
        (LEAST + TEXT + "[pretraining]\nlearning_rate = inf\n", "pretraining.learning_rate: Input should be a finite number, found inf"),
        (LEAST + TEXT + "[pretraining]\nexcerpt_characters = 0\n", "pretraining.excerpt_characters: Input should be greater"),
        (LEAST + TEXT + "[pretraining]\nn_excerpts = 0\n", "pretraining.n_excerpts: Input should be greater"),
        (LEAST + TEXT + "[pretraining]\nsave_every_steps = 0\n", "pretraining.save_every_steps: Input should be greater"),
        (LEAST + TEXT + "[pretraining]\nmax_length_tokens = 1\n", "pretraining.max_length_tokens: Input should be greater"),
        (LEAST + "lora_rank = 0\n" + TEXT, "lora_rank: Input should be greater"),
        (LEAST + "workers = 0\n" + TEXT, "workers: Input should be greater"),
        (LEAST + "seed = -1\n" + TEXT, "seed: Input should be greater than or equal to 0, found -1"),
        (LEAST + "seed = 4294967296\n" + TEXT, "seed: Input should be less"),
        (LEAST.replace('"own"', '""') + TEXT, "name='': expected a line"),
        (LEAST.replace('"own"', '"../own"') + TEXT, "name='../own': expected a line"),
        (SCRATCH + TEXT + "[scratch]\nn_stake_steps = 0\n", "scratch.n_stake_steps: Input should be greater"),
        (SCRATCH + TEXT + "[scratch]\nhidden_size = 24\n", "scratch.hidden_size: Input should be greater than or equal to 30"),
        (
            SCRATCH + TEXT + "[scratch]\nhidden_size = 63\n",
            "hidden_size=63, n_heads=4, n_key_value_heads=2: expected an even number for each",
        ),
        (SCRATCH + TEXT + "[scratch]\nn_heads = 4\nn_key_value_heads = 3\n", "as many heads for each key-value head"),
        (SCRATCH.replace("late", "base") + TEXT + "[scratch]\n", "none can be called 'base'"),
        ("seed = 0x" + 6000 * "f" + "\n" + LEAST + TEXT, "Exceeds the limit"),
        (".".join(2000 * "a") + " = 1\n" + LEAST + TEXT, "recursion"),
        (LEAST.replace("own", 2_000_000 * "o") + TEXT, "expected at most 1048576 bytes"),
        (LEAST + TEXT + "held_out_one_in = 1\n", "held_out_one_in=1: expected at least 2"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_by_name(tmp_path, text, says):
    with pytest.raises(PlanError, match=r"plan\.toml") as raised:
        read_plan(written(tmp_path, text))
    assert says in str(raised.value)
