"""Labelled synthetic network traffic as log files: for demos, load tests and benchmarks."""
