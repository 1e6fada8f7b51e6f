"""The evidence: an append-only, hash-chained log of every phase, the model registry and the lineage read from it."""
