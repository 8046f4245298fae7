#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden bad .isg files of tests/bad/view (exitN-what.isg) from the seed of the fuzz target, with checksums made
right wherever the fault lies deeper than a checksum: make_view.py SOURCE_DIR."""
import os
import struct
import sys

GRAPH, WEIGHTS = 0x80000001, 0x80000002


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def pack(sections, major=1, flags=0):
    at = 64 + 32 * len(sections)
    table, body = b"", b""
    for kind, data in sections:
        body += bytes(-(at + len(body)) % 64)
        table += struct.pack("<IIQQQ", kind, crc32c(data), at + len(body), len(data), 0)
        body += data
    head = struct.pack("<8sHHIQII32x", b"\x89ISG\r\n\x1a\n", major, 0, flags, at + len(body), len(sections), 0)
    crc = crc32c(head + table)
    return head[:28] + struct.pack("<I", crc) + head[32:] + table + body


def uv(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def name(text):
    return uv(len(text)) + text


def shape(*dims):
    return uv(len(dims)) + b"".join(uv(d) for d in dims)


def activation_graph(dims, a=b"\x01"):
    """One input, one activation, one output."""
    return (b"\x01\x00\x00\x01\x01" + shape(*dims) + name(b"x") + shape(*dims) + uv(1) + name(b"y") + b"\x09" + name(b"op") +
            a + b"\x01")


def main():
    source = sys.argv[1]
    with open(os.path.join(source, "fuzz/corpus/view/net.isg"), "rb") as f:
        good = f.read()
    graph, weights = good[0x80:0x80 + 0x92], good[0x140:0x140 + 0x14C]
    assert pack([(GRAPH, graph), (WEIGHTS, weights)]) == good

    def patched(data, at, new):
        return data[:at] + new + data[at + len(new):]

    both = [(GRAPH, graph), (WEIGHTS, weights)]
    clip = struct.pack("<ff", 2.0, 1.0)
    files = {
        "exit4-empty": b"",
        "exit4-magic-only": good[:8],
        "exit4-header-cut": good[:63],
        "exit4-table-cut": good[:100],
        "exit4-last-byte-missing": good[:-1],
        "exit4-byte-too-many": good + b"\0",
        "exit4-flipped-weight": patched(good, 0x150, bytes([good[0x150] ^ 1])),
        "exit4-flipped-padding": patched(good, 0x118, b"\x01"),
        "exit4-version-2": pack(both, major=2),
        "exit3-unknown-flags": pack(both, flags=1),
        "exit4-no-graph": pack([(WEIGHTS, weights)]),
        "exit4-graph-twice": pack([(GRAPH, graph), (GRAPH, graph), (WEIGHTS, weights)]),
        "exit3-required-section": pack(both + [(0x80000063, b"what?")]),
        "exit4-weights-missing": pack([(GRAPH, graph)]),
        "exit4-weights-short": pack([(GRAPH, graph), (WEIGHTS, weights[:-4])]),
        "exit4-weights-long": pack([(GRAPH, graph), (WEIGHTS, weights + bytes(4))]),
        "exit4-infinite-scale": pack([(GRAPH, graph), (WEIGHTS, patched(weights, 0x1D, b"\x7c"))]),
        "exit4-graph-tail": pack([(GRAPH, graph + b"\0"), (WEIGHTS, weights)]),
        "exit4-graph-cut": pack([(GRAPH, graph[:-1]), (WEIGHTS, weights)]),
        "exit4-shape-lies": pack([(GRAPH, patched(graph, 8, b"\x09")), (WEIGHTS, weights)]),
        "exit4-dimension-2-31": pack([(GRAPH, activation_graph((0, 1, 1, 1 << 31)))]),
        "exit4-product-overflows": pack([(GRAPH, activation_graph((0, 1 << 24, 1 << 24, 1 << 24)))]),
        "exit4-batch-in-the-middle": pack([(GRAPH, activation_graph((1, 0, 4, 4)))]),
        "exit4-clip-upside-down": pack([(GRAPH, activation_graph((0, 4), b"\x02" + clip))]),
        "exit4-activation-99": pack([(GRAPH, activation_graph((0, 4), b"\x63"))]),
        "exit4-bad-varint": pack([(GRAPH, b"\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")]),
        "exit1-memory-8-gigabytes": pack([(GRAPH, activation_graph((0, 64, 4096, 4096)))]),
    }
    folder = os.path.join(source, "tests/bad/view")
    os.makedirs(folder, exist_ok=True)
    for key, data in files.items():
        with open(os.path.join(folder, key + ".isg"), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
