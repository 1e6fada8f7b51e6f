"""Real servers on loopback, from pip packages, without root or Docker: for tests and for a stack on one machine."""
