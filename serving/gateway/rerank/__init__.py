"""Re-ranking: pure functions from list to list, each switched on by its key in the settings, always in this order:

1. ``banned`` and ``rules`` say which items may be shown at all. They are known as soon as a release is loaded and hold
   from recall on, so that what they take away is made up for.
2. ``combination``, ``freshness``, ``popularity`` change scores, and sort by them.
3. ``diversity`` (``mmr`` or ``dpp``) and ``caps`` change places and leave the scores.
4. ``pinned`` comes last, so that nothing moves a pinned item.

Banned items, rules and pins are hard: they hold whatever the rest does, and only they may leave fewer items than were
asked for. The others are soft: they reorder, never take away, and are skipped when the deadline leaves no time.
"""
