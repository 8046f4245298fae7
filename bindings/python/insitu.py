# SPDX-License-Identifier: Apache-2.0
"""Runs .isg models through the shared runtime, libinsitu_rt. Nothing but the standard library is needed.

    import insitu
    model = insitu.Model("model.isg")
    model.inputs                    # [("input", (1, 3, 32, 32))]
    scores, = model.run(pixels)     # one array.array("f") an output; a numpy array for numpy inputs

The library is what INSITU_RT_LIBRARY names, else libinsitu_rt.so.0 where the loader finds it. Arrays of numpy are taken
as they are where they hold contiguous float32; other inputs may be anything with a buffer of float32, or a flat sequence.
"""
import array
import ctypes as c
import mmap
import os
import sys

MAX_RANK = 4
ALIGNMENT = 64
ISA_ALL = 0x7FFFFFFF
MODES = ("f32", "int8", "bf16")
FLOATS = ("f", "@f", "=f", "<f" if sys.byteorder == "little" else ">f")  # how a buffer says float32; ctypes says the last
ABI = 0  # of insitu/version.h; the library's name carries it


class _Error(c.Structure):
    _fields_ = [("status", c.c_int32), ("node", c.c_int32), ("offset", c.c_uint64), ("message", c.c_char * 240)]


class _Io(c.Structure):
    _fields_ = [("name", c.c_void_p), ("name_bytes", c.c_uint32), ("rank", c.c_uint32), ("dims", c.c_uint32 * MAX_RANK)]


class _Parallel(c.Structure):
    _fields_ = [("run", c.c_void_p), ("user", c.c_void_p), ("workers", c.c_uint32)]


class _Options(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("batch", c.c_uint32), ("isa_mask", c.c_uint32), ("strategy", c.c_uint32),
                ("max_memory", c.c_uint64), ("parallel", _Parallel), ("hook", c.c_void_p), ("hook_user", c.c_void_p),
                ("hook_timing", c.c_uint32), ("mode", c.c_uint32), ("costs", c.c_void_p)]


class _Memory(c.Structure):
    _fields_ = [(name, c.c_uint64) for name in
                ("workspace_bytes", "activation_bytes", "scratch_bytes", "weight_bytes", "image_bytes")]


class InsituError(Exception):
    """What the runtime refused: `status` is one of insitu/status.h, the text its message."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


_library = None


def _load():
    global _library
    if _library is None:
        lib = c.CDLL(os.environ.get("INSITU_RT_LIBRARY") or f"libinsitu_rt.so.{ABI}")
        model, error = c.c_void_p, c.POINTER(_Error)
        for name, arguments in (
                ("open", (model, c.c_void_p, c.c_size_t, error)),
                ("input", (model, c.c_uint32, c.POINTER(_Io))),
                ("output", (model, c.c_uint32, c.POINTER(_Io))),
                ("plan", (model, c.POINTER(_Options), c.POINTER(_Memory), error)),
                ("context_init", (c.POINTER(c.c_void_p), c.c_void_p, c.c_size_t, model, c.POINTER(_Options), error)),
                ("run", (c.c_void_p, c.POINTER(c.c_void_p), c.POINTER(c.c_void_p), error))):
            function = getattr(lib, "isg_rt_" + name)
            function.argtypes, function.restype = arguments, c.c_int
        for name in ("input_count", "output_count"):
            function = getattr(lib, "isg_rt_" + name)
            function.argtypes, function.restype = (model,), c.c_uint32
        _library = lib
    return _library


def _check(status, error):
    if status != 0:
        raise InsituError(status, error.message.decode("utf-8", "replace"))


def _aligned(size):
    """A buffer and the address in it that is a multiple of ALIGNMENT."""
    buffer = c.create_string_buffer(size + ALIGNMENT)
    return buffer, -(-c.addressof(buffer) // ALIGNMENT) * ALIGNMENT


class Model:
    """One model with one context: not for two threads at once. `source` is a path, which is mapped, or the bytes of a
    file, which are copied. `memory` has the exact bytes that a run takes."""

    def __init__(self, source, batch=1, mode="f32", isa_mask=ISA_ALL):
        if mode not in MODES:
            raise ValueError(f"mode {mode!r} is none of {', '.join(MODES)}")
        if not 1 <= batch < 1 << 32:
            raise ValueError(f"a batch of {batch}")
        lib = _load()
        error = _Error()
        if isinstance(source, (bytes, bytearray, memoryview)):
            data = bytes(source)
            self._image, address = _aligned(len(data))
            c.memmove(address, data, len(data))
            size = len(data)
        else:
            with open(source, "rb") as f:
                size = os.fstat(f.fileno()).st_size
                if size == 0:
                    raise InsituError(-5, f"{source}: the file is empty")
                self._image = mmap.mmap(f.fileno(), size, access=mmap.ACCESS_COPY)
            address = c.addressof(c.c_char.from_buffer(self._image))
        self._model = (c.c_uint64 * 48)()
        _check(lib.isg_rt_open(self._model, address, size, error), error)
        options = _Options(struct_size=c.sizeof(_Options), batch=batch, isa_mask=isa_mask, mode=MODES.index(mode))
        options.parallel.workers = 1
        memory = _Memory()
        _check(lib.isg_rt_plan(self._model, options, memory, error), error)
        self.memory = {name: getattr(memory, name) for name, _ in _Memory._fields_}
        self._workspace, address = _aligned(memory.workspace_bytes)
        self._context = c.c_void_p()
        _check(lib.isg_rt_context_init(self._context, address, memory.workspace_bytes, self._model, options, error),
               error)
        self.inputs = self._describe(lib.isg_rt_input, lib.isg_rt_input_count(self._model), batch)
        self.outputs = self._describe(lib.isg_rt_output, lib.isg_rt_output_count(self._model), batch)

    def _describe(self, function, count, batch):
        found = []
        for i in range(count):
            io = _Io()
            status = function(self._model, i, io)
            if status != 0:
                raise InsituError(status, "no such input or output")
            name = c.string_at(io.name, io.name_bytes).decode("utf-8", "replace") if io.name_bytes else ""
            found.append((name, tuple(d or batch for d in io.dims[:io.rank])))
        return found

    def run(self, *inputs):
        """The outputs for these inputs, each a whole batch in the order of its shape. ValueError for a wrong size."""
        if len(inputs) != len(self.inputs):
            raise ValueError(f"{len(self.inputs)} inputs expected, {len(inputs)} given")
        kept = [self._floats(x, name, shape) for x, (name, shape) in zip(inputs, self.inputs)]
        results = [array.array("f", bytes(4 * _product(shape))) for _, shape in self.outputs]
        error = _Error()
        _check(_load().isg_rt_run(self._context, _pointers(kept), _pointers(results), error), error)
        if any(hasattr(x, "__array_interface__") for x in inputs):
            import numpy
            return [numpy.frombuffer(r, numpy.float32).reshape(s) for r, (_, s) in zip(results, self.outputs)]
        return results

    @staticmethod
    def _floats(x, name, shape):
        """x as a writable buffer of contiguous float32, copied where it is something else."""
        if hasattr(x, "__array_interface__"):
            import numpy
            x = numpy.require(x, numpy.float32, ["C", "W"])
        elif not isinstance(x, array.array) or x.typecode != "f":
            try:
                view = memoryview(x)
            except TypeError:
                view = None
            if view is not None and view.format not in FLOATS:
                raise ValueError(f"input {name}: a buffer of {view.format} instead of float32")
            x = array.array("f", x if view is None else view.tobytes())
        if memoryview(x).nbytes != 4 * _product(shape):
            raise ValueError(f"input {name}: {memoryview(x).nbytes // 4} numbers instead of {_product(shape)}")
        return x


def _product(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def _pointers(buffers):
    return (c.c_void_p * len(buffers))(*(c.addressof(c.c_char.from_buffer(b)) for b in buffers))
