"""Real services for the tests that ask for them."""

pytest_plugins = ["tests.services"]
