"""What a link carries: `link.py serve ADDRESS` on one host, `link.py ask ADDRESS` on the other.

The latter prints one JSON line, `mb_per_s` one way and `round_trip_us`.
"""

import json
import socket
import sys
import time

port = 29400
end = b"x"
trips = 100
size = 20_000_000


def serve(address):
    with socket.create_server((address, port)) as server:
        peer, _ = server.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := peer.recv(1 << 16):
            if data.endswith(end):
                peer.sendall(end)


def connect(address):
    for _ in range(100):
        try:
            return socket.create_connection((address, port))
        except ConnectionRefusedError:
            time.sleep(0.05)
    sys.exit(f"nobody serves at {address}")


def timed(peer, data):
    start = time.perf_counter()
    peer.sendall(data + end)
    peer.recv(1)
    return time.perf_counter() - start


def ask(address):
    with connect(address) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        trip = min(timed(peer, b"") for _ in range(trips))
        rate = size / timed(peer, bytes(size))
    print(json.dumps({"mb_per_s": rate / 1e6, "round_trip_us": trip * 1e6}))


{"serve": serve, "ask": ask}[sys.argv[1]](sys.argv[2])
