"""Which of many keys have been seen: millions of 16-byte digests in some 30 bytes each, in the order they came."""

from __future__ import annotations

import hashlib
from array import array

DIGEST_BYTES = 16
"""Two of ten million different keys have one digest with a probability of 10**-25."""


def digest_of(key: str | bytes) -> bytes:
    """The digest (BLAKE2b, RFC 7693) of a key; a lone surrogate is a character like any other."""
    data = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


class DigestIndex:
    """A set of digests that knows the place, counted from 0, at which each was added.

    A hash table with open addressing (Knuth, volume 3, section 6.4) over a dense list, as in CPython's dict, without an
    object for each entry.
    """

    def __init__(self) -> None:
        self._digests = bytearray()
        self._count = 0
        self._resize(1024)

    def __len__(self) -> int:
        return self._count

    def find(self, digest: bytes) -> int:
        """The place of this digest, or -1."""
        return self._slots[self._slot(digest)] - 1

    def add(self, digest: bytes) -> int:
        """-1 if the digest was added; else the place where it was already."""
        slot = self._slot(digest)
        place = self._slots[slot] - 1
        if place >= 0:
            return place
        self._digests += digest
        self._count += 1
        self._slots[slot] = self._count
        if self._count * 3 > len(self._slots) * 2:
            self._resize(len(self._slots) * 2)
        return -1

    def _slot(self, digest: bytes) -> int:
        slots, digests, mask = self._slots, self._digests, self._mask
        slot = int.from_bytes(digest[:8]) & mask
        while number := slots[slot]:
            end = number * DIGEST_BYTES
            if digests[end - DIGEST_BYTES : end] == digest:
                break
            slot = slot + 1 & mask
        return slot

    def _resize(self, size: int) -> None:
        self._slots = array("I")  # the digests are enough to make the new ones: the old need not be there meanwhile
        slots, digests, mask = array("I", [0]) * size, self._digests, size - 1
        for place in range(self._count):
            slot = int.from_bytes(digests[place * DIGEST_BYTES : place * DIGEST_BYTES + 8]) & mask
            while slots[slot]:
                slot = slot + 1 & mask
            slots[slot] = place + 1
        self._slots, self._mask = slots, mask
