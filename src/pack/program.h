/* SPDX-License-Identifier: Apache-2.0 */
/* The operations, shapes and weight records of one .isg image, between the graph and the bytes of docs/format.md. */
#ifndef INSITU_PACK_PROGRAM_H
#define INSITU_PACK_PROGRAM_H

#include <insitu/format.h>
#include <insitu/graph.h>
#include <insitu/pack.h>
#include <insitu/weight.h>

#include "graph/graph_internal.h"
#include "host/buffer.h"
#include "rt/view.h"

typedef struct isgi_text {
    const char *data; /* borrowed: from the graph or from the image */
    uint32_t bytes;
} isgi_text;

/* A tensor before its number is known: number k of its kind. */
typedef enum isgi_ref_kind { ISGI_REF_NONE = 0, ISGI_REF_INPUT, ISGI_REF_CONSTANT, ISGI_REF_OP } isgi_ref_kind;
typedef struct isgi_ref {
    isgi_ref_kind kind;
    uint32_t index;
} isgi_ref;

typedef struct isgi_port { /* an input, an output or a constant */
    isgi_text name;
    isgi_shape shape; /* unused for outputs: that of `ref` */
    isgi_ref ref;     /* outputs */
    uint32_t weight;  /* constants */
} isgi_port;

#define ISGI_WINDOW 10 /* kh, kw, sh, sw, dh, dw, top, left, bottom, right */

typedef struct isgi_program_op {
    isg_op_kind kind;
    isg_activation activation;
    float p, q; /* of the activation */
    isgi_text name;
    int32_t node;     /* of the graph */
    isgi_ref *inputs; /* owned */
    uint32_t input_count;
    int32_t weight, bias; /* indices of weight records or -1; affine: scale and shift */
    uint32_t window[ISGI_WINDOW];
    uint32_t groups;
    uint32_t flags, extra_h, extra_w; /* average pool */
    uint32_t selector;                /* binary kind, axis, pad mode, or mask of axes */
    uint32_t keepdims;
    float value;                       /* pad */
    uint32_t a[ISG_FORMAT_MAX_RANK];   /* slice start, pad begin, perm */
    int32_t step[ISG_FORMAT_MAX_RANK]; /* slice */
    uint32_t b[ISG_FORMAT_MAX_RANK];   /* pad end */
    isgi_shape shape;                  /* of the output */
} isgi_program_op;

typedef struct isgi_record {
    isg_weight w; /* geometry and quantisation; its pointers mean nothing */
    uint64_t hash;
    size_t at, bytes; /* its blobs in the WEIGHTS section */
} isgi_record;

typedef struct isgi_program {
    isgi_port *inputs, *outputs, *constants;
    uint32_t input_count, output_count, constant_count, constant_capacity;
    isgi_program_op *ops;
    uint32_t op_count, op_capacity;
    isgi_record *records;
    uint32_t record_count, record_capacity;
    isgi_buffer weights; /* the WEIGHTS section being written */
} isgi_program;

void isgi_program_init(isgi_program *p);
void isgi_program_free(isgi_program *p);
/* Room for one more operation with `inputs` operands, zeroed but for weight and bias (-1), groups (1) and the operands
 * given. Errors: NOMEM, LIMIT. */
ISG_NODISCARD isg_status isgi_program_add_op(isgi_program *p, isg_op_kind kind, const isgi_ref *inputs, uint32_t count,
                                             isgi_program_op **op, isg_error *err);
ISG_NODISCARD isg_status isgi_program_add_constant(isgi_program *p, const isgi_shape *shape, uint32_t weight,
                                                   isgi_ref *ref, isg_error *err);
const isgi_shape *isgi_program_shape(const isgi_program *p, isgi_ref ref);
uint32_t isgi_program_number(const isgi_program *p, isgi_ref ref);

/* ---- weight records; all return the index of an equal record if there is one ---- */

/* A packed weight, copied. */
ISG_NODISCARD isg_status isgi_program_add_weight(isgi_program *p, const isg_weight *w, uint32_t *index, isg_error *err);
/* Raw numbers [rows][cols] with rows = taps*ci. bits 16 falls back to 32 where a number is out of binary16's range.
 * Errors: NUMERIC (not finite), NOMEM, LIMIT. */
ISG_NODISCARD isg_status isgi_program_add_raw(isgi_program *p, const float *data, uint32_t taps, uint32_t ci,
                                              uint32_t co, uint32_t bits, uint32_t *index, isg_error *err);

/* What isg_pack_image() takes without options. */
extern const isg_pack_options isgi_pack_standard;

/* ---- graph to program (lower.c) ---- */
/* With `faults` the walk goes on behind a problem; the program is then good for nothing where there was one. */
ISG_NODISCARD isg_status isgi_program_lower(isgi_program *p, const isg_graph *g, const isg_pack_options *options,
                                            const isgi_faults *faults, isg_error *err);

/* ---- program to bytes (program_write.c) ---- */
/* The GRAPH section, appended. */
ISG_NODISCARD isg_status isgi_program_write(const isgi_program *p, isgi_buffer *out, isg_error *err);

/* isg_pack_image() that also gives the graph's node of every operation of the image, free with isg_free(); nodes NULL:
 * not wanted. Names do not say it: ONNX lets nodes share one. */
ISG_NODISCARD isg_status isgi_pack_image(const isg_graph *g, const isg_pack_options *options, void **image,
                                         size_t *bytes, int32_t **nodes, isg_error *err);

/* Unsigned LEB128. */
ISG_NODISCARD isg_status isgi_put_number(isgi_buffer *out, uint32_t value, isg_error *err);
ISG_NODISCARD isg_status isgi_put_text(isgi_buffer *out, isgi_text text, isg_error *err);

#endif
