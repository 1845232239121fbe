"""Names of models and the space of them."""

import copy
import json
import pickle

import numpy as np
import pytest

from pg_envs.models.ref import ModelRef, ModelRefError, local_path
from pg_envs.models.space import AnyModelSpace, ModelSpace

A = ModelRef("owner/base", "abc123", "runs/a")
B = ModelRef("owner/base", "abc123", "runs/b")


def test_ref_is_a_value():
    assert pickle.loads(pickle.dumps(A)) == A
    assert ModelRef.from_json(json.loads(json.dumps(A.to_json()))) == A
    assert len({A, B, ModelRef("owner/base", "abc123", "runs/a")}) == 2
    assert str(A) == "owner/base@abc123+runs/a"
    assert A.with_adapter(None) == ModelRef("owner/base", "abc123")


@pytest.mark.parametrize("ref", [A, ModelRef("owner/base"), ModelRef("/a/folder", adapter="runs/x+y"), ModelRef("owner/base", "v1")])
def test_ref_is_parsed_from_what_it_prints(ref):
    assert ModelRef.parse(str(ref)) == ref


@pytest.mark.parametrize("text", ["", "+runs/a", "owner/base+", "owner/base@", "@v1", "owner/base@+runs/a"])
def test_what_names_no_model_is_refused(text):
    with pytest.raises(ModelRefError, match="expected BASE"):
        ModelRef.parse(text)


def test_asset_names_do_not_depend_on_the_machine():
    path = local_path("pg_envs:questionnaire")
    assert path is not None
    assert (path / "views.csv").exists()
    assert local_path("owner/name") is None


@pytest.mark.parametrize("name", ["~nobody-of-that-name/x", 300 * "n", "a\0b"])
def test_a_name_that_no_folder_can_have_is_none(name):
    assert local_path(name) is None


def test_space_holds_models_of_one_base():
    space = ModelSpace([A, B], seed=0)
    assert A in space
    assert ModelRef("owner/base", "abc123") in space
    assert ModelRef("owner/base", "abc123", "somewhere/else") in space
    assert ModelRef("owner/base") not in space
    assert ModelRef("other/base", "abc123") not in space
    assert "runs/a" not in space
    assert np.zeros(19) not in space


def test_space_copies_compares_and_pickles():
    space = ModelSpace([A, B], seed=0)
    assert copy.deepcopy(space) == space == pickle.loads(pickle.dumps(space))
    assert space != ModelSpace([A])
    assert space.from_jsonable(json.loads(json.dumps(space.to_jsonable([A, B])))) == [A, B]


def test_space_samples_its_examples_by_seed():
    space = ModelSpace([A, B])
    space.seed(3)
    drawn = [space.sample() for _ in range(20)]
    space.seed(3)
    assert drawn == [space.sample() for _ in range(20)]
    assert set(drawn) == {A, B}
    with pytest.raises(ValueError, match="neither mask"):
        space.sample(mask=np.ones(2))


def test_space_of_any_model_has_no_base():
    other = ModelRef("other/base")
    space = AnyModelSpace([A, other], seed=0)
    assert A in space
    assert ModelRef("third/base", adapter="x") in space
    assert "runs/a" not in space
    assert copy.deepcopy(space) == space == pickle.loads(pickle.dumps(space))
    assert AnyModelSpace([A]) != ModelSpace([A])
    assert {space.sample() for _ in range(20)} == {A, other}


def test_space_of_several_bases_or_none_is_refused():
    with pytest.raises(ValueError, match="2"):
        ModelSpace([A, ModelRef("other/base")])
    with pytest.raises(ValueError, match="at least one example"):
        ModelSpace([])
    with pytest.raises(ValueError, match="AnyModelSpace needs at least one example"):
        AnyModelSpace([])
