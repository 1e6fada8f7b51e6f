"""New logs and a bundle become ranked, explained alerts: bounded memory, and every row accounted for."""
