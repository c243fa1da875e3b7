"""Words that can be said and mean nothing, for titles and tags."""

import numpy as np

SYLLABLES = np.array([consonant + vowel for consonant in "bdfghklmnprstvz" for vowel in "aeiou"])


def words(rng: np.random.Generator, count: int, syllable_count: int) -> np.ndarray:
    """``[count]`` words; some come twice."""
    return _spell(rng.integers(0, len(SYLLABLES) ** syllable_count, count), syllable_count)


def different_words(rng: np.random.Generator, count: int, syllable_count: int) -> np.ndarray:
    """``[count]`` words, no two alike."""
    return _spell(rng.choice(len(SYLLABLES) ** syllable_count, count, replace=False), syllable_count)


def _spell(codes: np.ndarray, syllable_count: int) -> np.ndarray:
    """Read each code as a number whose digits are syllables."""
    spelt = SYLLABLES[codes % len(SYLLABLES)]
    for place in range(1, syllable_count):
        spelt = np.char.add(spelt, SYLLABLES[codes // len(SYLLABLES) ** place % len(SYLLABLES)])
    return spelt
