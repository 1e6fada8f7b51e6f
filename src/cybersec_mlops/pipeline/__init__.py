"""Prefect flows over the phases: coordination, execution, tracing. No data logic lives here."""
