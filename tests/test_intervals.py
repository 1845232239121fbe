import pytest

from pg_envs.intervals import half_width, interval


def test_half_width_is_that_of_the_table():
    # Student's t with 2 degrees of freedom at 97.5%: 4.303; the standard deviation is 1.
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(4.30265 / 3**0.5, rel=1e-5)
    assert interval([1.0, 2.0, 3.0]) == "2.000 ± 2.484"


def test_one_value_has_no_interval():
    assert interval([0.5]) == "0.500 (one seed)"
