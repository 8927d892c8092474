"""Arithmetic on mono samples: where sound begins and ends, loudness, other rates, fades."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Pcm = NDArray[np.int16]

SAMPLE_RATE_HZ = 24_000
"""Everything that is played has this rate, whatever voice made it."""
SILENCE_DB = -42.0
"""Below the peak by this much counts as silence; hibari's breath noise lies at about -50 dB."""
EDGE_S = 0.010
"""Kept around the sound, so that a soft consonant is not cut."""
TARGET_RMS = 0.12
"""Loudness of the sounding part, about -18 dBFS: what speech on a stream is commonly mixed to."""
PEAK_LIMIT = 0.95
MAX_GAIN = 8.0


def sounding_span(samples: Floats) -> tuple[int, int]:
    """Half-open range of the samples that can be heard; (0, 0) when all is silent."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < 1e-4:
        return 0, 0
    loud = np.flatnonzero(np.abs(samples) > peak * 10 ** (SILENCE_DB / 20))
    return int(loud[0]), int(loud[-1]) + 1


def even_gain(samples: Floats, volume: float) -> float:
    """Gain that brings the sounding part to `TARGET_RMS` times `volume` without clipping.

    Only 20 ms windows within 26 dB of the loudest count, so that pauses do not make a chunk louder.
    """
    window = SAMPLE_RATE_HZ // 50
    whole = samples[: len(samples) // window * window]
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < 1e-4 or not len(whole):
        return 0.0 if peak < 1e-4 else min(volume, PEAK_LIMIT / peak)
    energy = np.square(whole.reshape(-1, window), dtype=np.float64).mean(axis=1)
    rms = float(np.sqrt(energy[energy > energy.max() * 10**-2.6].mean()))
    return min(min(TARGET_RMS / rms, MAX_GAIN) * volume, PEAK_LIMIT / peak)


def to_pcm(samples: Floats, gain: float) -> Pcm:
    """Floats in -1..1, times `gain` -> 16-bit samples, clipped."""
    return np.asarray(np.clip(samples * gain, -1.0, 1.0) * 32767.0).astype(np.int16)


def resample(samples: Floats, rate_hz: int, target_hz: int = SAMPLE_RATE_HZ) -> Floats:
    """Band-limited change of rate: the spectrum is cut or padded (exact when the signal ends in silence)."""
    if rate_hz == target_hz or not len(samples):
        return samples
    divisor = int(np.gcd(rate_hz, target_hz))
    step, target_step = rate_hz // divisor, target_hz // divisor
    wanted = round(len(samples) * target_hz / rate_hz)
    blocks = -(-len(samples) // step) + 1  # the empty last block keeps the end from wrapping to the start
    padded = np.zeros(blocks * step)
    padded[: len(samples)] = samples
    spectrum = np.fft.rfft(padded)
    target = blocks * target_step
    fitted = np.zeros(target // 2 + 1, dtype=spectrum.dtype)
    shared = min(len(spectrum), len(fitted))
    fitted[:shared] = spectrum[:shared]
    return (np.fft.irfft(fitted, target) * (target / len(padded)))[:wanted].astype(np.float32)


def fade_out(samples: Pcm) -> Pcm:
    """The same samples, falling to silence in a straight line."""
    ramp = np.linspace(1.0, 0.0, len(samples), dtype=np.float32)
    return np.asarray(samples * ramp).astype(np.int16)
