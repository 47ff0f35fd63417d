# SPDX-License-Identifier: MIT
"""Ports for who has to be told a number before it is bound."""

import random
import socket


def free_port(kind=socket.SOCK_STREAM):
    """Nobody is given one of these who asks for any: between the question and the use it stays free."""
    while True:
        port = random.randrange(20000, 32768)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
