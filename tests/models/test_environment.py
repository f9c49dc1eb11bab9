"""What a result was made with."""

from lib.models import environment


def test_the_environment_says_what_is_installed():
    seen = environment.describe()
    assert set(environment.PACKAGES) == set(seen["packages"]) and seen["packages"]["torch"].startswith("2.13.0")
