"""A stand-in for the Hub on loopback: what the client needs to push and to pull, and what the Hub refuses.

It keeps real repositories with real commits, checks every size and SHA-256, refuses what the Hub would refuse, and can
be told to fail. The client reaches it by `HF_ENDPOINT`, with `HF_HUB_DISABLE_XET=1`.
"""

from .server import running_hub
from .state import Hub

__all__ = ["Hub", "running_hub"]
