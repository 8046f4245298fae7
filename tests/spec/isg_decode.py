#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second decoder of .isg files, written from docs/format.md alone and with nothing but the standard library.

Prints what the file says (container, ports, operations) and, with --weights, every weight as dense numbers in the
stored order. Numbers are computed in binary64 from the stored codes and scales.
"""
import argparse
import struct
import sys

MAGIC = b"\x89ISG\r\n\x1a\n"
GRAPH, WEIGHTS, INPUT, CLASSES, META, GOLDEN = 0x80000001, 0x80000002, 3, 4, 5, 6
REQUIRED = 0x80000000
RAW, PAPER, MIDTREAD, MIDRISE = range(4)
KINDS = ("", "conv", "fc", "max pool", "average pool", "global average pool", "global max pool", "binary", "affine",
         "activation", "softmax", "concat", "slice", "pad", "transpose", "reshape", "reduce mean")
WITH_ACTIVATION = {1, 2, 7, 8, 9}
ACTIVATION_PARAMETERS = (0, 0, 2, 1, 0, 2, 0, 0)


class Bad(Exception):
    """The file is not what the specification says."""


def need(condition, message):
    if not condition:
        raise Bad(message)


def crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


CRC_TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


class Stream:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(n <= len(self.data) - self.at, "stream is cut short")
        self.at += n
        return self.data[self.at - n:self.at]

    def uv(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                need(value < 1 << 32 and (byte or shift == 7), "number too large or not in its shortest form")
                return value
            need(shift < 35, "number too large")

    def sv(self):
        n = self.uv()
        return -(n + 1) // 2 if n & 1 else n // 2

    def f32(self):
        return struct.unpack("<f", self.take(4))[0]

    def name(self, most=1024):
        n = self.uv()
        need(n <= most, "name too long")
        raw = self.take(n)
        need(b"\0" not in raw, "NUL in a name")
        return raw.decode("utf-8")

    def done(self):
        need(self.at == len(self.data), "bytes are left over")


def sections(data):
    need(data[:8] == MAGIC, "wrong magic")
    major, _, flags, size, count, crc = struct.unpack_from("<HHIQII", data, 8)
    need(major == 1 and flags == 0, "wrong version or flags")
    need(size == len(data) and 1 <= count <= 64 and not any(data[32:64]), "wrong header")
    end = 64 + 32 * count
    need(end <= size and crc32c(data[:28] + b"\0\0\0\0" + data[32:end]) == crc, "header checksum")
    found = {}
    for i in range(count):
        kind, crc, offset, length, zero = struct.unpack_from("<IIQQQ", data, 64 + 32 * i)
        begin = (end + 63) // 64 * 64
        need(offset == begin and length >= 1 and zero == 0 and length <= size - begin, "section out of place")
        need(not any(data[end:begin]), "padding is not zero")
        body = data[begin:begin + length]
        need(crc32c(body) == crc, "section checksum")
        if kind in (GRAPH, WEIGHTS, INPUT, CLASSES, META, GOLDEN):
            need(kind not in found, "section twice")
            found[kind] = body
        else:
            need(not kind & REQUIRED, "unknown required section")
        end = begin + length
    need(end == size, "bytes after the last section")
    return found


class Codes:
    """One factor: family, bits, scale mode, and where its data lie."""

    def __init__(self, s, rows, cols):
        self.family, self.bits, self.mode = s.uv(), s.uv(), s.uv()
        self.rows, self.cols = rows, cols
        raw = self.family == RAW
        need(self.family <= 3 and (self.bits in (16, 32) if raw else 1 <= self.bits <= 8), "bits of a factor")
        need(self.mode == 0 if raw else 1 <= self.mode <= (2 if self.family == PAPER else 4), "scale mode")

    def load(self, weights):
        need_bytes = (self.rows * self.cols * self.bits + 7) // 8
        data = weights.blob(need_bytes)
        count = 0 if self.mode == 0 else 1 if self.mode <= 2 else self.cols
        half = self.mode in (2, 4)
        scales = []
        if count:
            scales = struct.unpack(f"<{count}{'e' if half else 'f'}", weights.blob(count * (2 if half else 4)))
        n = self.rows * self.cols
        if self.family == RAW:
            flat = struct.unpack(f"<{n}{'e' if self.bits == 16 else 'f'}", data)
        else:
            word, mask = int.from_bytes(data, "little"), (1 << self.bits) - 1
            need(word >> n * self.bits == 0, "unused bits are not zero")
            flat = [self.number(data, i, mask, scales[i % self.cols if count > 1 else 0]) for i in range(n)]
        self.matrix = [list(flat[r * self.cols:(r + 1) * self.cols]) for r in range(self.rows)]

    def number(self, data, i, mask, s):
        at = i * self.bits
        code = int.from_bytes(data[at // 8:at // 8 + 2], "little") >> at % 8 & mask
        if self.bits == 1:
            return s * (2 * code - 1)
        if self.family == PAPER:
            return code / mask * 2 * s - s
        if self.family == MIDTREAD:
            return (code - (1 << self.bits - 1)) * s
        return (2 * code - mask) * s


class Blobs:
    def __init__(self, data):
        self.data, self.at = data, 0

    def blob(self, n):
        begin = (self.at + 3) // 4 * 4
        need(n <= len(self.data) - begin and not any(self.data[self.at:begin]), "weights are cut or badly padded")
        self.at = begin + n
        return self.data[begin:self.at]


class Weight:
    def __init__(self, s):
        flags, self.taps, self.ci, self.co = s.uv(), s.uv(), s.uv(), s.uv()
        need(flags < 8, "unknown weight flags")
        self.level1, self.level2, self.depthwise = flags & 1, flags >> 1 & 1, flags >> 2
        self.bi = s.uv() if self.level1 else 0
        self.bo = s.uv() if self.level2 else self.co
        need(not self.depthwise or (self.co == 1 and not self.level2), "depthwise weight")
        if self.level1:
            self.parts = [Codes(s, self.taps, self.bi * self.bo), Codes(s, self.ci, self.bi * self.bo)]
        else:
            self.parts = [Codes(s, self.taps * self.ci, self.bo)]
        if self.level2:
            self.parts.append(Codes(s, self.bo, self.co))

    def load(self, blobs):
        for part in self.parts:
            part.load(blobs)

    def dense(self):
        """W [taps*ci][co] as include/insitu/weight.h defines it."""
        basis = self.parts[0].matrix
        if self.level1:
            u = self.parts[1].matrix
            c = [[sum(basis[t][i * self.bo + o] * u[ch][i * self.bo + o] for i in range(self.bi))
                  for o in range(self.bo)] for t in range(self.taps) for ch in range(self.ci)]
        else:
            c = basis
        if not self.level2:
            return c
        columns = list(zip(*self.parts[-1].matrix))
        return [[sum(a * b for a, b in zip(row, column)) for column in columns] for row in c]


class Op:
    def __init__(self, s, own, rank):
        self.kind = s.uv()
        need(1 <= self.kind <= 16, "unknown operation")
        self.name = s.name()
        self.activation, self.activation_parameters = 0, []
        if self.kind in WITH_ACTIVATION:
            self.activation = s.uv()
            need(self.activation < 8, "unknown activation")
            self.activation_parameters = [s.f32() for _ in range(ACTIVATION_PARAMETERS[self.activation])]
        count = s.uv() if self.kind == 11 else 2 if self.kind == 7 else 1
        self.inputs = [own - s.uv() for _ in range(count)]
        need(all(0 <= t < own for t in self.inputs), "operand out of range")
        self.weight, self.vector, self.parameters = -1, -1, []
        if self.kind in (1, 2):
            self.weight, self.vector = s.uv(), s.uv() - 1
        if self.kind == 8:
            self.weight, self.vector = s.uv(), s.uv()
        window = 10 if self.kind in (1, 3, 4) else 0
        extra = {1: 1, 4: 3, 7: 1, 10: 1, 11: 1, 14: rank, 16: 2}.get(self.kind, 0)
        self.parameters = [s.uv() for _ in range(window + extra)]
        if self.kind == 12:
            self.parameters = [(s.uv(), s.sv()) for _ in range(rank)]
        if self.kind == 13:
            self.parameters = [s.uv(), s.f32()] + [(s.uv(), s.uv()) for _ in range(rank)]


class Graph:
    def __init__(self, body, weights):
        s = Stream(body)
        inputs, constants, weight_count, ops, outputs = (s.uv() for _ in range(5))
        self.inputs, self.constants = [], []
        for _ in range(inputs):
            shape = self.shape(s)
            self.inputs.append((shape, s.name()))
        for _ in range(constants):
            shape = self.shape(s)
            self.constants.append((shape, s.uv()))
        self.op_shapes = [self.shape(s) for _ in range(ops)]
        self.outputs = [(s.uv(), s.name()) for _ in range(outputs)]
        self.weights = [Weight(s) for _ in range(weight_count)]
        first = inputs + constants
        self.ops = [Op(s, first + i, len(self.op_shapes[i])) for i in range(ops)]
        s.done()
        blobs = Blobs(weights)
        for w in self.weights:
            w.load(blobs)
        need(blobs.at == len(weights), "weights nobody owns")

    @staticmethod
    def shape(s):
        rank = s.uv()
        need(1 <= rank <= 4, "rank")
        return [s.uv() for _ in range(rank)]


def texts(body):
    s = Stream(body)
    result = [s.name() for _ in range(s.uv())]
    s.done()
    return result


def pairs(body):
    s = Stream(body)
    result = [(s.name(), s.name(65536)) for _ in range(s.uv())]
    s.done()
    return result


def show(found, with_weights, out):
    g = Graph(found[GRAPH], found.get(WEIGHTS, b""))
    for shape, name in g.inputs:
        print("input", name, *shape, file=out)
    for shape, weight in g.constants:
        print("constant", weight, *shape, file=out)
    for tensor, name in g.outputs:
        print("output", tensor, name, file=out)
    for op, shape in zip(g.ops, g.op_shapes):
        print("op", op.kind, KINDS[op.kind].replace(" ", "_"), op.name or "-", op.weight, op.vector, "in", *op.inputs, "out",
              *shape, "act", op.activation, *op.activation_parameters, "par", *op.parameters, file=out)
    for i, w in enumerate(g.weights):
        print("weight", i, w.taps, w.ci, w.co, w.level1, w.level2, w.depthwise, file=out)
        if with_weights:
            for row in w.dense():
                print("row", *(repr(x) for x in row), file=out)
    if CLASSES in found:
        for name in texts(found[CLASSES]):
            print("class", name, file=out)
    for key, value in pairs(found[META]) if META in found else ():
        print("meta", key, value, file=out)
    if INPUT in found:
        need(len(found[INPUT]) == 64, "size of INPUT")
        print("spec", *struct.unpack("<3I4B9f2Ii", found[INPUT]), file=out)
    if GOLDEN in found:
        seed, tolerance, count = struct.unpack_from("<QfI", found[GOLDEN])
        values = struct.unpack_from(f"<{count}f", found[GOLDEN], 16)
        need(len(found[GOLDEN]) == 16 + 4 * count, "size of GOLDEN")
        print("golden", seed, repr(tolerance), *(repr(x) for x in values), file=out)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--weights", action="store_true", help="print every weight as dense numbers")
    arguments = parser.parse_args()
    with open(arguments.file, "rb") as f:
        data = f.read()
    try:
        show(sections(data), arguments.weights, sys.stdout)
    except (Bad, UnicodeDecodeError, struct.error) as error:
        sys.exit(f"isg_decode: {arguments.file}: {error}")


if __name__ == "__main__":
    main()
