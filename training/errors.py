"""The exceptions of training."""

from __future__ import annotations


class TrainingError(Exception):
    """One clear sentence: what is wrong with the data, the arguments or the run, and what to do about it."""


class Diverged(TrainingError):
    """The loss stopped being a number, or the disk is full: the run broke, its arguments were in order."""


class BrokenElsewhere(Diverged):
    """Another process of the run could not go on, and says why itself."""
