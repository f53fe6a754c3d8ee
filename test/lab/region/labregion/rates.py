# SPDX-License-Identifier: Apache-2.0
"""How many requests EC2 takes: a bucket of tokens for each kind, filled again all the time.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html: the buckets of most actions. They are an
account's, so all instances take from the same.
"""

from __future__ import annotations

import threading
import time

# Whether it changes something -> tokens, and how many come back in a second.
RATES = {False: (100.0, 20.0), True: (50.0, 5.0)}


class Bucket:
    def __init__(self, size: float, refill_per_s: float) -> None:
        self._size, self._refill = size, refill_per_s
        self._left, self._since = size, time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Takes a token; False when there is none."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._size, self._left + (now - self._since) * self._refill)
            self._since = now
            if self._left < 1:
                return False
            self._left -= 1
            return True
