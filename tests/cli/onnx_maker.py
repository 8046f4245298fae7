# SPDX-License-Identifier: Apache-2.0
# Small ONNX files and arrays for the shell tests, written field by field; argv[1] is the folder.
import struct, sys
def varint(v):
    out = b''
    while True:
        out += bytes([v & 127 | (128 if v >> 7 else 0)])
        v >>= 7
        if not v: return out
def number(field, v): return varint(field << 3) + varint(v)
def part(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data
def node(op, inputs, output, attributes=b'', name='', domain=''):
    outputs = b''.join(part(2, o) for o in ([output] if isinstance(output, str) else output))
    return part(1, b''.join(part(1, i) for i in inputs) + outputs + part(3, name) + part(4, op) + attributes +
                (part(7, domain) if domain else b''))
def ints(name, values):
    return part(5, part(1, name) + b''.join(number(8, v) for v in values) + number(20, 7))
def pads():
    return ints('pads', [1] * 4)
def external(name, dims, location):
    where = part(13, part(1, 'location') + part(2, location))
    return part(5, b''.join(number(1, d) for d in dims) + number(2, 1) + part(8, name) + where + number(14, 1))
def tensor(name, dims, values, kind=1, code='f'):
    data = struct.pack('<%d%s' % (len(values), code), *values)
    return part(5, b''.join(number(1, d) for d in dims) + number(2, kind) + part(8, name) + part(9, data))
def value(field, name, dims, kind=1):
    shape = b''.join(part(1, part(2, d) if isinstance(d, str) else number(1, d)) for d in dims)
    return part(field, part(1, name) + part(2, part(1, number(1, kind) + part(2, shape))))
def save(name, graph, opset=17, ir=8):
    open(f'{sys.argv[1]}/{name}', 'wb').write(number(1, ir) + part(7, graph + part(2, 'g')) + part(8, part(1, '') + number(2, opset)))
def array(name, dims, values, code='f'):
    head = "{'descr': '<" + {'f': 'f4', 'q': 'i8'}[code] + "', 'fortran_order': False, 'shape': (%s,), }" % ', '.join(map(str, dims))
    head += ' ' * (-(11 + len(head)) % 64) + '\n'
    open(f'{sys.argv[1]}/{name}', 'wb').write(b'\x93NUMPY\x01\x00' + struct.pack('<H', len(head)) + head.encode() + struct.pack('<%d%s' % (len(values), code), *values))
