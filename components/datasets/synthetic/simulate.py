"""The simulation: slot after slot, block after block, never more than one block of rows in memory."""

import math
from collections.abc import Iterator

from components.datasets.synthetic.behaviour import EventBlock, play
from components.datasets.synthetic.policy import POSITION_COUNT, open_shelf
from components.datasets.synthetic.traffic import NO_REQUESTS, draw_requests, slots
from components.datasets.synthetic.world import World

BLOCK_REQUESTS = 16_384
ROWS_PER_REQUEST = 1.1 * POSITION_COUNT  # until the first block shows how many it is


def simulate(world: World) -> Iterator[EventBlock]:
    """All events of the world, exactly ``config.events`` rows, in the order of time.

    The order holds within a block; the clicks at the end of one can fall up to two minutes behind the start of the
    next. A block has no more than ``BLOCK_REQUESTS`` requests, however long the simulation.
    """
    config = world.config
    written = event_count = request_count = 0
    pending = NO_REQUESTS
    for slot in slots(config):
        rng = config.rng("slot", slot.number)
        due = round(config.events * slot.until_share) - written
        # A request gives at least its impressions: in the last slot this many are enough whatever is clicked.
        rows_per_request = written / request_count if request_count else ROWS_PER_REQUEST
        wanted = math.ceil(due / POSITION_COUNT) if slot.until_share == 1 else round(due / rows_per_request)
        fresh = draw_requests(world.users, slot, max(0, wanted - len(pending)), config.end_ms, rng)
        requests = pending.merge(fresh)
        now_count = int(requests.time_ms.searchsorted(slot.end_ms))
        shelf = open_shelf(world, slot.start_ms, slot.end_ms)
        for start in range(0, now_count, BLOCK_REQUESTS):
            asked = requests.take(slice(start, min(start + BLOCK_REQUESTS, now_count)))
            block = play(world, shelf, asked, event_count, request_count, rng).take(slice(config.events - written))
            request_count += len(asked)
            event_count = int(block.event[-1]) + 1
            written += len(block)
            yield block
            if written == config.events:
                return
        pending = requests.take(slice(now_count, None))
