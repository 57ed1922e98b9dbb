"""UDP servers as people write them.

naive ADDRESS PORT            recvfrom, sendto
again ADDRESS PORT            likewise; "again" is answered to the first client
pktinfo ADDRESS PORT SOURCE   names SOURCE for each answer
second ADDRESS PORT SOURCE    answers through another socket, bound to SOURCE
connect ADDRESS PORT          connects its socket to the client, and opens another for the next
"""

import socket
import struct
import sys

mode, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


def bound(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind((address, port))
    return sock


def pktinfo(source):
    if ":" in source:
        info = struct.pack("=16sI", socket.inet_pton(socket.AF_INET6, source), 0)
        return [(socket.IPPROTO_IPV6, 50, info)]
    info = struct.pack("=I4s4s", 0, socket.inet_aton(source), bytes(4))
    return [(socket.IPPROTO_IP, 8, info)]


sock = bound(address)
other = bound(sys.argv[4]) if mode == "second" else None
first = None
print("ready", flush=True)
while True:
    text, client = sock.recvfrom(2048)
    first = first or client
    try:
        if mode == "naive":
            sock.sendto(text, client)
        elif mode == "again":
            sock.sendto(text, first if text == b"again" else client)
        elif mode == "pktinfo":
            sock.sendmsg([text], pktinfo(sys.argv[4]), 0, client)
        elif mode == "second":
            other.sendto(text, client)
        elif mode == "connect":
            connected, sock = sock, bound(address)
            connected.connect(client)
            connected.send(text)
            connected.close()
    except OSError as error:
        print(error, flush=True)
