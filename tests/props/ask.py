#!/usr/bin/env python3
"""One question to a name server, by hand: ask.py SERVER [tcp] TYPE NAME. Prints the code and the records on one line.
`ask.py SERVER flood N` sends N packets of garbage and of half-right questions and reads no answer."""
import os, random, socket, struct, sys

TYPES = {"A": 1, "PTR": 12, "AAAA": 28, "TXT": 16, "MX": 15, "ANY": 255}
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


def question(name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return struct.pack("!HHHHHH", random.randrange(65536), 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def name_at(packet, at):
    parts, end = [], None
    while packet[at]:
        if packet[at] >= 0xC0:
            end, at = end or at + 2, struct.unpack("!H", packet[at : at + 2])[0] & 0x3FFF
            continue
        parts.append(packet[at + 1 : at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(parts) + ".", end or at + 1


def told(packet):
    _, flags, questions, answers, _, _ = struct.unpack("!HHHHHH", packet[:12])
    at, records = 12, []
    for _ in range(questions):
        at = name_at(packet, at)[1] + 4
    for _ in range(answers):
        at = name_at(packet, at)[1]
        kind, _, _, length = struct.unpack("!HHIH", packet[at : at + 10])
        data = packet[at + 10 : at + 10 + length]
        if kind in (1, 28):
            records.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data))
        else:
            records.append(name_at(packet, at + 10)[0])
        at += 10 + length
    return " ".join(["TRUNCATED" if flags & 0x0200 else CODES.get(flags & 15, str(flags & 15))] + records)


server, words = sys.argv[1], sys.argv[2:]
if words[0] == "flood":
    s, right = socket.socket(type=socket.SOCK_DGRAM), question("web", 1)
    for n in range(int(words[1])):
        cut = random.randrange(len(right))
        s.sendto([os.urandom(random.randrange(1, 600)), right[:cut] + os.urandom(9) + right[cut:], right[:cut], right][n % 4], (server, 53))
    sys.exit()
by_tcp = words[0] == "tcp"
kind, name = words[-2:]
if kind == "PTR" and not name.endswith("arpa"):
    name = ".".join(reversed(name.split("."))) + ".in-addr.arpa"
packet = question(name, TYPES[kind])
if by_tcp:
    s = socket.create_connection((server, 53), timeout=5)
    s.sendall(struct.pack("!H", len(packet)) + packet)
    length, answer = struct.unpack("!H", s.recv(2, socket.MSG_WAITALL))[0], b""
    while len(answer) < length:
        answer += s.recv(length - len(answer))
else:
    s = socket.socket(type=socket.SOCK_DGRAM)
    s.settimeout(8)
    s.sendto(packet, (server, 53))
    answer = s.recvfrom(65536)[0]
    assert answer[:2] == packet[:2], "an answer to another question"
print(told(answer))
