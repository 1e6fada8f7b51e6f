"""RAW originals become SILVER: typed connections with features, and a quarantine for what breaks the contract."""
