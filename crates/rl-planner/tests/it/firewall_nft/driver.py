"""Runs inside a network namespace of its own: loads rules into nftables, sends frames through a veth pair, and says
what became of each. One JSON object a line in, one out."""

import json
import socket
import subprocess
import sys
import time

SENDING, RECEIVING = "fwsend", "fwrecv"
RECEIVING_MAC = "02:00:00:00:00:02"
# How long the kernel may take for frames that were sent; only an overloaded machine needs more than a few milliseconds.
PATIENCE_S = 10.0
# Where a frame ends, and what connection tracking says of it.
SETS = ["accepted", "dropped", "rejected", "invalid"]


def run(*words, given=None):
    return subprocess.run(words, input=given, capture_output=True, text=True)


def must(*words):
    done = run(*words)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}: {done.stderr.strip()}")


def recorded():
    done = run("nft", "-j", "list", "sets", "table", "inet", "rec")
    found = {name: [] for name in SETS}
    for item in json.loads(done.stdout)["nftables"]:
        if "set" in item and item["set"]["name"][:-1] in found:
            found[item["set"]["name"][:-1]] += item["set"].get("elem", [])
    return found


def answer(wire, asked):
    loaded = run("nft", "-f", "-", given=asked["nft"])
    if loaded.returncode != 0:
        return {"error": loaded.stderr}
    for frame in asked["frames"]:
        wire.send(bytes.fromhex(frame))
    end = time.monotonic() + PATIENCE_S
    while True:
        found = recorded()
        ended = sum(len(found[name]) for name in ("accepted", "dropped", "rejected"))
        if ended >= len(asked["frames"]) or time.monotonic() > end:
            return found


# With an address of its own the namespace has a table of local addresses, without which every address is a broadcast.
must("ip", "link", "set", "lo", "up")
must("ip", "link", "add", SENDING, "type", "veth", "peer", "name", RECEIVING)
must("ip", "link", "set", RECEIVING, "address", RECEIVING_MAC)
# The sending end must not send anything of its own.
with open(f"/proc/sys/net/ipv6/conf/{SENDING}/disable_ipv6", "w") as switch:
    switch.write("1")
must("ip", "link", "set", SENDING, "up")
must("ip", "link", "set", RECEIVING, "up")
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((SENDING, 0))
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(answer(wire, json.loads(line))), flush=True)
