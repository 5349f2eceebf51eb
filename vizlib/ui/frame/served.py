"""Who can open an address of this app: what it listens on, and which names it answers to."""

import ipaddress
import socket
from functools import cache

import streamlit as st

ALL = ("", "0.0.0.0", "::")
ALONE = (
    "It opens on this machine only: the app listens to no other. To let others open it, start it "
    "with: streamlit run app.py --server.address 0.0.0.0 --server.allowedHosts {host}"
)
NOT_ALLOWED = (
    "Others are refused by that name as yet. To let them in, start the app with: streamlit run "
    "app.py --server.address {address} --server.allowedHosts {host}"
)
OTHERS = "Others in your network can open it."


def for_others() -> tuple[str, str]:
    """(The name of this machine that others can open the app by, empty where they cannot; a
    sentence on that), for whoever opened it as localhost.
    """
    address = st.get_option("server.address") or ""
    if address not in ALL and _is_loopback(address):
        return "", ALONE.format(host=network_name() or "THIS_MACHINE")
    host = network_name() if address in ALL else address
    if not host:
        return "", "This machine is in no network, so nobody else can open it."
    if not is_allowed(host, st.get_option("server.allowedHosts")):
        return "", NOT_ALLOWED.format(address=address or "0.0.0.0", host=host)
    return host, OTHERS


def is_allowed(host: str, allowed_hosts: list[str]) -> bool:
    """Whether the server answers to a name, as Streamlit decides it: to all where none is given."""
    names = [name.strip().lower().rstrip(".") for name in allowed_hosts]
    return not names or any(
        name in ("*", host.lower()) or (name.startswith("*.") and host.lower().endswith(name[1:]))
        for name in names
    )


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@cache
def network_name() -> str:
    """This machine's address in its network, empty where it is in none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # of no machine: which of ours would it leave by?
            return str(probe.getsockname()[0])
        except OSError:
            return ""
