/* SPDX-License-Identifier: Apache-2.0 */
/* Rival compression methods behind one interface: each stores a weight tensor in bytes of its own and makes it again.
 *
 * They exist so that methods can be compared on the same networks, data, training and accounting: every weight that a
 * network is measured with was decoded from the bytes that are counted. The runtime does not know them. */
#ifndef INSITU_METHODS_H
#define INSITU_METHODS_H

#include <insitu/graph.h>
#include <insitu/host.h>
#include <insitu/memory.h>
#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- one method ---- */

/* A method with values for its parameters. Immutable; may be shared between threads. */
typedef struct isg_method isg_method;

/* A number that a method can be given. */
typedef struct isg_method_param {
    const char *name;
    double least, most, preset;
    int whole; /* whole numbers only */
} isg_method_param;

uint32_t isg_method_count(void);
/* Of method `index`, static: its name, one line on what it stores and after whom, and its parameters. NULL beyond the
 * last. */
const char *isg_method_name(uint32_t index);
const char *isg_method_summary(uint32_t index);
const isg_method_param *isg_method_param_at(uint32_t index, uint32_t param);

/* From "NAME" or "NAME:KEY=VALUE,...", such as "dsconv:bits=3,block=128". Error: ARG. */
ISG_NODISCARD isg_status isg_method_create(isg_method **out, const char *text, isg_error *err);
void isg_method_destroy(isg_method *m); /* NULL is fine */
/* The same with every parameter that it has, in a fixed order. Borrowed. */
const char *isg_method_text(const isg_method *m);

/* Of a weight in ONNX order [co][ci][kh][kw], ci a group's; a fully connected layer has kh = kw = 1. */
typedef struct isg_method_shape {
    uint32_t co, ci, kh, kw;
} isg_method_shape;

/* What the bits of an encoded weight are. */
typedef enum isg_method_section {
    ISG_SECTION_CODES = 0,   /* numbers of few bits: weights, coefficients */
    ISG_SECTION_SCALES = 1,  /* what codes are multiplied with */
    ISG_SECTION_BASES = 2,   /* numbers that several weights share */
    ISG_SECTION_MASKS = 3,   /* which numbers there are */
    ISG_SECTION_INDICES = 4, /* places, patterns, orders */
    ISG_SECTION_COUNT = 5
} isg_method_section;
const char *isg_method_section_name(isg_method_section section); /* "codes", ... */

typedef struct isg_method_cost {
    uint64_t weights;                 /* numbers of the tensor */
    uint64_t bits[ISG_SECTION_COUNT]; /* written; bytes are those of the sum, rounded up */
    double multiply_adds, shift_adds; /* to make the whole tensor once */
} isg_method_cost;

/* Whether the method has a form for such a weight. */
int isg_method_fits(const isg_method *m, const isg_method_shape *shape);
/* Fits the method to `w` and writes it: *bytes (free with isg_free()) and *size. cost may be NULL. Errors: ARG (does
 * not fit), NUMERIC (NaN or infinity in w), NOMEM. The same w gives the same bytes. */
ISG_NODISCARD isg_status isg_method_encode(const isg_method *m, const isg_method_shape *shape, const float *w,
                                           uint8_t **bytes, size_t *size, isg_method_cost *cost, isg_error *err);
/* The weight that those bytes stand for. Any bytes are safe. Errors: FORMAT (too few or too many, or what no encoder
 * writes), ARG, NOMEM. */
ISG_NODISCARD isg_status isg_method_decode(const isg_method *m, const isg_method_shape *shape, const uint8_t *bytes,
                                           size_t size, float *w, isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
