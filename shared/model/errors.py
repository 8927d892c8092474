"""The one exception of everything that reads weights, vocabularies and templates."""

from __future__ import annotations


class ModelError(Exception):
    """One clear sentence: what is wrong with the model and what to do about it."""
