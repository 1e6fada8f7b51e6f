"""Originals into RAW, and the readers: one file for each log format behind one interface."""
