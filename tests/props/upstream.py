#!/usr/bin/env python3
"""A name server for a test: upstream.py ADDRESS LOG. Knows lab.example (203.0.113.7, no IPv6) and large.example (sixty addresses,
cut short in UDP); every other name does not exist. Each question is a line of the log."""
import socket, struct, sys, threading

NAMES = {"lab.example": ["203.0.113.7"], "large.example": [f"203.0.113.{n}" for n in range(1, 61)]}


def answer(packet, room):
    at, labels = 12, []
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    name, end = ".".join(labels).lower(), at + 5
    (kind,) = struct.unpack("!H", packet[at + 1 : at + 3])
    with open(sys.argv[2], "a") as log:
        log.write(f"{name} {kind}\n")
    records = []
    if name == "7.113.0.203.in-addr.arpa" and kind == 12:
        records = [(12, b"\3lab\7example\0")]
    elif kind == 1:
        records = [(1, socket.inet_aton(address)) for address in NAMES.get(name, [])]
    code = 0 if name in NAMES or records else 3
    body = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data for kind, data in records)
    cut = 12 + end - 12 + len(body) > room
    flags = 0x8180 | code | (0x0200 if cut else 0)
    return packet[:2] + struct.pack("!HHHHH", flags, 1, 0 if cut else len(records), 0, 0) + packet[12:end] + (b"" if cut else body)


def by_tcp():
    server = socket.create_server((sys.argv[1], 53))
    while True:
        c, _ = server.accept()
        try:
            while length := c.recv(2, socket.MSG_WAITALL):
                reply = answer(c.recv(struct.unpack("!H", length)[0], socket.MSG_WAITALL), 65535)
                c.sendall(struct.pack("!H", len(reply)) + reply)
        except OSError:
            pass
        c.close()


threading.Thread(target=by_tcp, daemon=True).start()
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind((sys.argv[1], 53))
while True:
    packet, who = s.recvfrom(4096)
    s.sendto(answer(packet, 512), who)
