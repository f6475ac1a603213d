"""Finds the address of a host, once per connection, and refuses those of private networks where they are not wanted.

The address that was looked at is the one that is connected to: a name that answers otherwise the second time (DNS
rebinding, a way to server-side request forgery) is not asked a second time.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, NamedTuple

_THIS_NETWORK_64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address within


class Address(NamedTuple):
    """Where a socket connects to, as `getaddrinfo` says it."""

    family: socket.AddressFamily
    to: tuple[Any, ...]


class PrivateAddress(Exception):
    """A host has an address of a private network, and the settings do not allow that."""


def resolve(host: str, port: int, *, allow_private: bool) -> list[Address]:
    """The addresses of a host, to be tried in this order.

    Raises `OSError` where there are none, and `PrivateAddress` if one of them is private: a name that has both kinds
    is up to something.
    """
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    addresses = [Address(family, to) for family, _, _, _, to in found]
    if not allow_private:
        for address in addresses:
            if is_private(str(address.to[0])):
                raise PrivateAddress(f"{host} has the address {address.to[0]}, of a private network or this machine")
    return addresses


def is_private(text: str) -> bool:
    """Whether an address is one that only machines near this one can reach, or no address of a machine at all."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour
        if within is None and address in _THIS_NETWORK_64:
            within = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if within is not None:
            return is_private(str(within))
    return not address.is_global or address.is_multicast
