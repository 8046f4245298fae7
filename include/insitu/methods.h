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
#include <insitu/parallel.h>
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
/* The weight that those bytes stand for. Any bytes are safe. Errors: FORMAT (too few or too many, or what has no
 * meaning; not all that no encoder writes is found), ARG, NOMEM. */
ISG_NODISCARD isg_status isg_method_decode(const isg_method *m, const isg_method_shape *shape, const uint8_t *bytes,
                                           size_t size, float *w, isg_error *err);

/* ---- a network ---- */

typedef struct isg_method_options {
    uint32_t struct_size; /* sizeof(isg_method_options); another size is an ARG error */
    const char *keep;     /* POSIX extended regular expression of layers that stay as they are, or NULL */
    uint32_t rest_bits;   /* layers that the method has no form for: uniform codes of so many bits, 2..8; 32: they stay
                             as they are; 0: 8 */
} isg_method_options;

/* What becomes of every weight of one network. Immutable; may be shared between threads. */
typedef struct isg_method_plan isg_method_plan;

typedef enum isg_method_way {
    ISG_METHOD_USED = 0, /* by the method */
    ISG_METHOD_REST = 1, /* it has no form for this one: as rest_bits says */
    ISG_METHOD_KEPT = 2  /* binary32, as `keep` says */
} isg_method_way;

typedef struct isg_method_layer {
    char *name; /* of the layer (isg_graph_layer_name()); the report's */
    isg_method_shape shape;
    isg_method_way way;
    uint64_t bytes; /* of the stored weight */
    isg_method_cost cost;
    double lost, whole; /* ||W - W^||^2 and ||W||^2 */
} isg_method_layer;

typedef struct isg_method_report {
    isg_method_layer *layers; /* owned; isg_method_report_clear() */
    uint32_t layer_count;
    uint64_t weights, weight_bytes; /* of all layers */
    isg_method_cost used;           /* of what the method stores alone: weights, bits, operations */
    uint64_t used_bytes;
    uint64_t other_bytes; /* constants besides (biases), in binary32 */
    double weight_error;  /* ||W - W^||^2 / ||W||^2 over all that the method stores */
} isg_method_report;
void isg_method_report_clear(isg_method_report *r); /* takes one that is zero, too */

/* `g` is prepared; the plan does not refer to it or to `m` afterwards. options may be NULL. Errors: ARG (keep is no
 * expression or fits no layer), UNSUPPORTED (a weight that is not plain binary32), NOMEM. */
ISG_NODISCARD isg_status isg_method_plan_create(isg_method_plan **out, const isg_graph *g, const isg_method *m,
                                                const isg_method_options *options, isg_error *err);
/* Layers that the method itself stores: 0 where it has no form for any. */
uint32_t isg_method_plan_used(const isg_method_plan *p);
void isg_method_plan_destroy(isg_method_plan *p); /* NULL is fine */
/* Replaces the weights of `g`, a form of the graph that the plan was made of, by what their bytes decode to. parallel,
 * progress and report may be NULL. Errors: ARG (a weight is missing), NUMERIC, CANCELLED, NOMEM; `g` is then partly
 * changed, and the report empty. */
ISG_NODISCARD isg_status isg_method_plan_store(const isg_method_plan *p, isg_graph *g, const isg_parallel *parallel,
                                               const isg_progress *progress, isg_method_report *report, isg_error *err);
/* isg_train_options.project, with the plan as `user`: w is what the bytes of master decode to. A weight that the plan
 * keeps or does not know stays as it is. Errors: NUMERIC, NOMEM. */
ISG_NODISCARD isg_status isg_method_project(void *user, const char *value, const float *master, float *w, size_t count,
                                            isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
