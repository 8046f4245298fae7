/* SPDX-License-Identifier: Apache-2.0 */
/* What a rival method has to define, and the bit stream that it writes and reads. */
#ifndef INSITU_METHODS_METHOD_H
#define INSITU_METHODS_METHOD_H

#include <insitu/methods.h>
#include <stddef.h>
#include <stdint.h>

#define ISGI_METHOD_PARAMS 4u

/* ---- bits out ---- */

/* A growing stream, least significant bit first. Failures stick: what is written after one is lost. */
typedef struct isgi_coder {
    uint8_t *data; /* owned */
    size_t capacity;
    uint64_t position; /* in bits */
    uint64_t bits[ISG_SECTION_COUNT];
    isg_status status; /* NOMEM, or NUMERIC: a number that binary16 cannot hold */
} isgi_coder;

/* The low `bits` (1..32) bits of `code`. */
void isgi_coder_put(isgi_coder *c, isg_method_section section, uint32_t code, uint32_t bits);
/* A number in binary16, as which it is read back; returns that. */
float isgi_coder_half(isgi_coder *c, isg_method_section section, float x);

/* ---- bits in ---- */

typedef struct isgi_decoder {
    const uint8_t *data;
    size_t size;
    uint64_t position;
    int bad; /* read beyond the end, or a number that is not finite: the stream is refused in the end */
} isgi_decoder;

uint32_t isgi_decoder_take(isgi_decoder *d, uint32_t bits); /* 1..32; 0 beyond the end */
float isgi_decoder_half(isgi_decoder *d);

/* ---- a method ---- */

typedef struct isgi_method_kind {
    const char *name, *summary;
    isg_method_param params[ISGI_METHOD_PARAMS + 1]; /* `values` below are in this order; `name` NULL ends them */
    /* NULL: there is a form for every shape. */
    int (*fits)(const double *values, const isg_method_shape *shape);
    /* `w` is finite and the shape fits. Two calls write the same bits. */
    isg_status (*encode)(const double *values, const isg_method_shape *shape, const float *w, isgi_coder *c,
                         isg_error *err);
    /* Reads exactly what encode wrote; on other streams it may make any finite or infinite numbers, or return FORMAT,
     * but never reads but through `d` nor writes outside w. */
    isg_status (*decode)(const double *values, const isg_method_shape *shape, isgi_decoder *d, float *w,
                         isg_error *err);
    /* multiply_adds and shift_adds of `cost`, whose bits are known; NULL: none, a scale is folded into the output. */
    void (*work)(const double *values, const isg_method_shape *shape, isg_method_cost *cost);
} isgi_method_kind;

#define ISGI_METHOD(name) extern const isgi_method_kind isgi_method_##name;
#include "methods/methods.def"
#undef ISGI_METHOD

struct isg_method {
    const isgi_method_kind *kind;
    double values[ISGI_METHOD_PARAMS];
    char text[160];
};

/* Numbers of one output channel. */
static inline size_t isgi_method_row(const isg_method_shape *s)
{
    return (size_t)s->ci * s->kh * s->kw;
}

/* ---- codes that several methods share ---- */

/* `count` numbers `stride` apart as whole multiples -most..most of one scale in binary16, most = 2^(bits-1) - 1 (bits
 * 2..8), the scale with the least squared error. Writes the scale (to SCALES), then the codes (to `section`). */
void isgi_coder_uniform(isgi_coder *c, isg_method_section section, const float *w, size_t count, size_t stride,
                        uint32_t bits);
void isgi_decoder_uniform(isgi_decoder *d, float *w, size_t count, size_t stride, uint32_t bits);

#endif
