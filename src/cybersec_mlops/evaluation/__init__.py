"""SILVER rows that a bundle has scored -> figures, leakage audit, drift, promotion decision and report."""
