"""The audit's schema as a history; `migrate` brings a database to the newest."""
