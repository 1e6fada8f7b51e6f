"""SILVER -> MODELS: split, detectors, fusion, thresholds, the bundle. Nothing here measures how good a model is."""
