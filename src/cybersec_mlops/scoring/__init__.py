"""New logs and a bundle become ranked, explained alerts (to come with the scoring flow)."""
