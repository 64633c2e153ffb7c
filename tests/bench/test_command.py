"""`segue bench`: what may be asked of it. What it measures is tested beside this."""

import pytest
from typer.testing import CliRunner

from cli.main import app


def test_the_benchmarks_are_listed() -> None:
    """Who asks for nothing in particular learns what there is."""
    assert "engine" in CliRunner().invoke(app, ["bench", "--help"]).stdout


@pytest.mark.parametrize("option", ["--clips", "--rounds"])
def test_nothing_cannot_be_measured(option: str) -> None:
    """A median needs a round, and a round a clip: refused as wrong usage, before anything is loaded."""
    refused = CliRunner().invoke(app, ["bench", "engine", option, "0"])
    assert refused.exit_code == 2
    assert option in refused.output


def test_a_storm_has_room_for_what_is_special() -> None:
    """More special requests than requests: refused as wrong usage, before anything is started."""
    refused = CliRunner().invoke(app, ["bench", "faults", "--requests", "10", "--cancels", "11"])
    assert refused.exit_code == 2
    assert "of 10 in all" in refused.output
