/* SPDX-License-Identifier: Apache-2.0 */
/* The validated view of a file image: decoded records and the look-ups that walk the GRAPH stream. */
#ifndef INSITU_RT_VIEW_H
#define INSITU_RT_VIEW_H

#include <insitu/format.h>
#include <insitu/rt.h>
#include <insitu/status.h>
#include <insitu/weight.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

/* Reads a byte range from front to back; after the first fault everything reads as 0 and `failed` stays set. */
typedef struct isgi_cursor {
    const uint8_t *data;
    size_t pos, end;
    int failed;
} isgi_cursor;

uint32_t isgi_cursor_uv(isgi_cursor *c);
int32_t isgi_cursor_sv(isgi_cursor *c);
float isgi_cursor_f32(isgi_cursor *c);
/* A name; NULL and 0 on failure. */
const char *isgi_cursor_name(isgi_cursor *c, uint32_t *bytes);

/* Logical (ONNX) order; 0 as first dim is the batch until isgi_shape_bind() puts a number there. */
typedef struct isgi_shape {
    uint32_t rank, dims[ISG_RT_MAX_RANK];
} isgi_shape;

typedef struct isgi_window {
    uint32_t kh, kw, sh, sw, dh, dw, top, left, bottom, right;
} isgi_window;

/* One operation. Which members count depends on `kind` (docs/format.md). */
typedef struct isgi_op {
    const char *name;
    uint32_t name_bytes, kind, output, input_count;
    uint32_t inputs[2];   /* tensor numbers; of a concat use isgi_op_input() */
    uint32_t operands_at; /* concat: where its operands begin in GRAPH */
    int32_t weight, vector;
    isgk_act act;
    isgi_window window;
    uint32_t groups;
    uint32_t mode;      /* axis, mask of axes, pad mode, binary kind, pool flags */
    uint32_t keep_dims; /* reduce mean */
    uint32_t extra_h, extra_w;
    float value;
    uint32_t begin[ISG_RT_MAX_RANK], end[ISG_RT_MAX_RANK]; /* slice start, pads, perm (begin) */
    int32_t step[ISG_RT_MAX_RANK];
} isgi_op;

/* Every so many records one position is kept, so that a look-up walks a bounded part of the stream. */
#define ISGI_TENSOR_MARKS 32u
#define ISGI_WEIGHT_MARKS 8u

typedef struct isgi_model {
    uint64_t magic;
    const uint8_t *image, *graph, *weights;
    uint64_t image_bytes, weights_bytes;
    uint32_t graph_bytes, inputs, constants, weight_count, ops, outputs, tensors;
    uint32_t outputs_at, ops_at, tensor_step, weight_step;
    uint32_t tensor_marks[ISGI_TENSOR_MARKS];
    uint32_t weight_marks[ISGI_WEIGHT_MARKS];
    uint64_t blob_marks[ISGI_WEIGHT_MARKS];
} isgi_model;

#define ISGI_MODEL_MAGIC 0x6c65646f6d677369u

static inline const isgi_model *isgi_model_of_const(const isg_rt_model *m)
{
    return (const isgi_model *)(const void *)m;
}

/* Finds and checks the container; leaves the sections' places in `m`. */
isg_status isgi_view_container(isgi_model *m, const uint8_t *image, uint64_t bytes, isg_error *err);
/* Bytes of section `kind`, or NULL. */
const uint8_t *isgi_view_section(const isgi_model *m, uint32_t kind, uint64_t *bytes);
/* Decodes and checks all of GRAPH and WEIGHTS once. */
isg_status isgi_view_graph(isgi_model *m, isg_error *err);
/* Computes the shape of what `op` makes and checks every parameter against its inputs and weights. */
isg_status isgi_view_infer(const isgi_model *m, const isgi_op *op, isgi_shape *out, isg_error *err);

/* A weight record; *blob is the place in WEIGHTS where its data begin, and moves on. `scan` checks scales and padding.
 */
isg_status isgi_view_read_weight(const isgi_model *m, isgi_cursor *c, uint64_t *blob, isg_weight *w, int scan,
                                 isg_error *err);
/* The operation at the cursor, which makes tensor `own` of rank `rank`. */
isg_status isgi_view_read_op(isgi_cursor *c, uint32_t own, uint32_t rank, isgi_op *op, isg_error *err);

/* Look-ups in a model that isg_rt_open() accepted. */
void isgi_view_tensor(const isgi_model *m, uint32_t index, isgi_shape *shape, uint32_t *weight);
void isgi_view_weight(const isgi_model *m, uint32_t index, isg_weight *w);
isgi_cursor isgi_view_ops(const isgi_model *m);
uint32_t isgi_op_input(const isgi_model *m, const isgi_op *op, uint32_t k);
/* All operands of an operation as it was read, one after the other. */
isgi_cursor isgi_op_operands(const isgi_model *m, const isgi_op *op);
uint32_t isgi_next_operand(isgi_cursor *c, const isgi_op *op);
static inline int isgi_view_is_constant(const isgi_model *m, uint32_t tensor)
{
    return tensor >= m->inputs && tensor < m->inputs + m->constants;
}

/* Bytes of the codes and scales of a weight. */
static inline uint64_t isgi_weight_bytes(const isg_weight *w)
{
    const isg_codes *f[3] = {&w->basis, &w->u, &w->v};
    uint64_t n = 0;
    for (int i = 0; i < 3; i++) n += f[i]->data_bytes + (uint64_t)f[i]->scale_count * f[i]->scale_bits / 8;
    return n;
}

/* Product of the dims, the batch (0) counting as `batch`. */
static inline uint64_t isgi_shape_count(const isgi_shape *s, uint32_t batch)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < s->rank; i++) n *= s->dims[i] ? s->dims[i] : batch;
    return n;
}

static inline void isgi_shape_bind(isgi_shape *s, uint32_t batch)
{
    if (s->dims[0] == 0) s->dims[0] = batch;
}

int isgi_shape_equal(const isgi_shape *a, const isgi_shape *b);
/* The logical dim in place i of memory, outermost first: channels last at rank 4, row-major otherwise. */
uint32_t isgi_nhwc_axis(uint32_t rank, uint32_t i);
/* Strides in floats of each logical dim in memory. */
void isgi_shape_strides(const isgi_shape *s, size_t strides[ISG_RT_MAX_RANK]);

#endif
