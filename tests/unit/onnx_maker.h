/* SPDX-License-Identifier: Apache-2.0 */
/* Handcrafted ONNX bytes for the tests: a small protobuf writer that can also write what no sane exporter would. */
#ifndef INSITU_TEST_ONNX_MAKER_H
#define INSITU_TEST_ONNX_MAKER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct maker {
    uint8_t bytes[1 << 16];
    size_t size;
} maker;

static inline void mk_raw(maker *m, const void *data, size_t n)
{
    if (n > sizeof m->bytes - m->size) abort();
    if (n) memcpy(m->bytes + m->size, data, n);
    m->size += n;
}

static inline void mk_varint(maker *m, uint64_t v)
{
    do {
        const uint8_t byte = (uint8_t)((v & 127) | (v > 127 ? 128 : 0));
        mk_raw(m, &byte, 1);
        v >>= 7;
    } while (v);
}

static inline void mk_int(maker *m, unsigned field, int64_t v)
{
    mk_varint(m, field << 3);
    mk_varint(m, (uint64_t)v);
}

static inline void mk_bytes(maker *m, unsigned field, const void *data, size_t n)
{
    mk_varint(m, field << 3 | 2);
    mk_varint(m, n);
    mk_raw(m, data, n);
}

static inline void mk_string(maker *m, unsigned field, const char *s)
{
    mk_bytes(m, field, s, strlen(s));
}

static inline void mk_sub(maker *m, unsigned field, const maker *sub)
{
    mk_bytes(m, field, sub->bytes, sub->size);
}

static inline void mk_float(maker *m, unsigned field, float v)
{
    mk_varint(m, field << 3 | 5);
    mk_raw(m, &v, 4);
}

/* AttributeProto of type INTS, INT, FLOAT or STRING, into a NodeProto. */
static inline void mk_attr_ints(maker *node, const char *name, const int64_t *v, size_t n)
{
    maker *a = calloc(1, sizeof *a);
    mk_string(a, 1, name);
    for (size_t i = 0; i < n; i++) mk_int(a, 8, v[i]);
    mk_int(a, 20, 7);
    mk_sub(node, 5, a);
    free(a);
}

static inline void mk_attr_int(maker *node, const char *name, int64_t v)
{
    maker *a = calloc(1, sizeof *a);
    mk_string(a, 1, name);
    mk_int(a, 3, v);
    mk_int(a, 20, 2);
    mk_sub(node, 5, a);
    free(a);
}

static inline void mk_attr_float(maker *node, const char *name, float v)
{
    maker *a = calloc(1, sizeof *a);
    mk_string(a, 1, name);
    mk_float(a, 2, v);
    mk_int(a, 20, 1);
    mk_sub(node, 5, a);
    free(a);
}

static inline void mk_attr_string(maker *node, const char *name, const char *v)
{
    maker *a = calloc(1, sizeof *a);
    mk_string(a, 1, name);
    mk_string(a, 4, v);
    mk_int(a, 20, 3);
    mk_sub(node, 5, a);
    free(a);
}

static inline void mk_attr_tensor(maker *node, const char *name, const maker *tensor)
{
    maker *a = calloc(1, sizeof *a);
    mk_string(a, 1, name);
    mk_sub(a, 5, tensor);
    mk_int(a, 20, 4);
    mk_sub(node, 5, a);
    free(a);
}

/* NodeProto from lists that end in NULL. */
static inline void mk_node(maker *node, const char *op, const char *const *inputs, const char *const *outputs)
{
    for (; *inputs; inputs++) mk_string(node, 1, *inputs);
    for (; *outputs; outputs++) mk_string(node, 2, *outputs);
    mk_string(node, 4, op);
}

/* TensorProto with raw data; dtype 1 float, 7 int64. */
static inline void mk_tensor(maker *t, const char *name, int dtype, const int64_t *dims, size_t rank, const void *raw,
                             size_t bytes)
{
    for (size_t i = 0; i < rank; i++) mk_int(t, 1, dims[i]);
    mk_int(t, 2, dtype);
    mk_string(t, 8, name);
    if (raw) mk_bytes(t, 9, raw, bytes);
}

static inline void mk_external(maker *t, const char *key, const char *value)
{
    maker *e = calloc(1, sizeof *e);
    mk_string(e, 1, key);
    mk_string(e, 2, value);
    mk_sub(t, 13, e);
    free(e);
}

/* ValueInfoProto of a float tensor into field `field` of a GraphProto; a dim of -1 is "N", -2 one without value. */
static inline void mk_info(maker *graph, unsigned field, const char *name, const int64_t *dims, size_t rank)
{
    maker *part = calloc(5, sizeof *part);
    maker *info = part, *type = part + 1, *tensor = part + 2, *shape = part + 3, *dim = part + 4;
    for (size_t i = 0; i < rank; i++) {
        dim->size = 0;
        if (dims[i] >= 0)
            mk_int(dim, 1, dims[i]);
        else if (dims[i] == -1)
            mk_string(dim, 2, "N");
        mk_sub(shape, 1, dim);
    }
    mk_int(tensor, 1, 1);
    mk_sub(tensor, 2, shape);
    mk_sub(type, 1, tensor);
    mk_string(info, 1, name);
    mk_sub(info, 2, type);
    mk_sub(graph, field, info);
    free(part);
}

/* ModelProto around a graph. */
static inline void mk_model_of(maker *model, const maker *graph, int64_t opset, int64_t ir)
{
    maker *set = calloc(1, sizeof *set);
    mk_int(model, 1, ir);
    mk_string(model, 2, "maker");
    mk_string(set, 1, "");
    mk_int(set, 2, opset);
    mk_sub(model, 8, set);
    mk_sub(model, 7, graph);
    free(set);
}

static inline void mk_model(maker *model, const maker *graph, int64_t opset)
{
    mk_model_of(model, graph, opset, 7);
}

#endif
