/* SPDX-License-Identifier: Apache-2.0 */
/* Trainable factors of one weight tensor, the quantisers, and the ways to obtain factors from a dense weight. */
#ifndef INSITU_FACTORS_H
#define INSITU_FACTORS_H

#include <insitu/host.h>
#include <insitu/memory.h>
#include <insitu/status.h>
#include <insitu/weight.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How one factor is quantised. bits 1..8, or 32 (kept in binary32) or 16 (binary16). per_column: one scale a column of
 * the stored matrix instead of one in all (MIDTREAD and MIDRISE only). scale_bits 16 or 32. */
typedef struct isg_quant_spec {
    uint8_t bits, family, per_column, scale_bits;
} isg_quant_spec;

/* One factor: float master in the stored order (weight.h: [rows][cols], columns fastest) and its scales.
 * `scale` holds 1 or cols numbers for MIDTREAD/MIDRISE (learned or fitted); unused by RAW and, since it is derived from
 * the master (max|tanh|, or mean| | at one bit), recomputed for PAPER. */
typedef struct isg_factor {
    uint32_t rows, cols;
    isg_quant_spec quant;
    float *master; /* owned, rows*cols */
    float *scale;  /* owned, scale count, or NULL */
} isg_factor;

/* Geometry as isg_weight. A level that is off has an empty factor (rows == 0). */
typedef struct isg_factors {
    uint32_t taps, ci, co, bi, bo;
    uint8_t level1, level2, depthwise, reserved;
    isg_factor basis, u, v;
} isg_factors;

/* Which levels are on for requested (bi, bo), after SPEC section 2.1; a request of 0 turns a level off. */
typedef struct isg_levels {
    uint32_t bi, bo; /* effective; 0 = off; with level1 alone the stored bo is co */
    uint8_t level1, level2;
} isg_levels;
#define ISG_LEVELS_RULE_09 1u /* the released code's 1x1 rule (SPEC 2.1 step 1); not what the paper's tables used */
isg_levels isg_factor_levels(uint32_t ci, uint32_t co, uint32_t taps, uint32_t bi, uint32_t bo, int depthwise,
                             unsigned flags);

ISG_NODISCARD isg_status isg_factors_create(isg_factors **out, uint32_t taps, uint32_t ci, uint32_t co,
                                            isg_levels levels, int depthwise,
                                            isg_error *err); /* masters zero, quant RAW 32 */
ISG_NODISCARD isg_status isg_factors_clone(isg_factors **out, const isg_factors *f, isg_error *err);
void isg_factors_destroy(isg_factors *f);
uint64_t isg_factors_params(const isg_factors *f);
/* Bits of codes only (the paper's accounting, SPEC section 9) and with scales. */
uint64_t isg_factors_code_bits(const isg_factors *f);
uint64_t isg_factors_stored_bits(const isg_factors *f);

/* Order of a dense weight: OIHW is ONNX [co][ci][kh][kw]; HWIO is the stored matrix [taps*ci][co]. */
void isg_weight_oihw_to_hwio(float *dst, const float *src, uint32_t co, uint32_t ci, uint32_t taps);
void isg_weight_hwio_to_oihw(float *dst, const float *src, uint32_t co, uint32_t ci, uint32_t taps);

/* ---- quantisers (src/quant) ---- */
/* Fits the scales of MIDTREAD/MIDRISE to the master by minimum squared error (deterministic search). Frees f->scale and
 * allocates it anew. */
ISG_NODISCARD isg_status isg_factor_fit_scale(isg_factor *f, isg_error *err);
/* Gives the factors that exist other bits (basis, U, V; 1..8, or 32 for none) and fits their scales to the masters;
 * family and scales a column stay, but a factor that had no quantiser becomes MIDTREAD with one 16-bit scale. For
 * training that begins with more bits than it ends with. Errors: ARG, NOMEM; f is then as it was or partly changed. */
ISG_NODISCARD isg_status isg_factors_requantise(isg_factors *f, const uint8_t bits[3], isg_error *err);
/* Fake quantisation: y = Q(master), same formula and rounding as the decoder in rt/gen, so that what the runtime makes
 * of the codes of isg_factor_codes() is the same bit for bit. Errors: ARG (no scales yet, or bits that the family has
 * not), NUMERIC (NaN or infinity in master or scales, or beyond binary16 where that is stored). */
ISG_NODISCARD isg_status isg_factor_quantise(float *y, const isg_factor *f, isg_error *err);
/* The code 0..2^bits-1 of each number of the master. Errors: as isg_factor_quantise(), and ARG where numbers are stored
 * as they are (16 or 32 bits). */
ISG_NODISCARD isg_status isg_factor_codes(int32_t *codes, const isg_factor *f, isg_error *err);
/* Straight-through gradients. dmaster = d L/d master from g = d L/d y; PAPER as SPEC 3.1 with `clamp` (the released
 * code's gradient-value clamp) on or off; MIDTREAD/MIDRISE pass inside the range and give dscale (learned step size,
 * scaled 1/sqrt(n qmax)) if not NULL. */
void isg_factor_backward(float *dmaster, float *dscale, const float *g, const isg_factor *f, int clamp);

/* A self-contained packed copy: fills `w` with pointers into *buffer (owned by the caller, free with isg_free()). */
ISG_NODISCARD isg_status isg_factors_pack(const isg_factors *f, isg_weight *w, void **buffer, size_t *bytes,
                                          isg_error *err);
/* The other way: masters and scales from packed codes (exact numbers the decoder makes). */
ISG_NODISCARD isg_status isg_factors_unpack(isg_factors **out, const isg_weight *w, isg_error *err);
/* W in the stored order [taps*ci][co] from the quantised factors, through rt/gen. */
ISG_NODISCARD isg_status isg_factors_weight(float *hwio, const isg_factors *f, isg_error *err);
/* Gradients through the generation: given dW (stored order) and the quantised factors b, u, v (as isg_factor_quantise
 * gives; NULL where off), writes db, du, dv (NULL where off): SPEC section 2 differentiated. */
ISG_NODISCARD isg_status isg_factors_weight_backward(const isg_factors *f, const float *dw, const float *b,
                                                     const float *u, const float *v, float *db, float *du, float *dv,
                                                     isg_error *err);

/* Orthonormality loss of SPEC section 5 (raw masters) times `weight`; adds its gradient to db, du, dv (any may be
 * NULL). */
double isg_factors_ortho(const isg_factors *f, double weight, float *db, float *du, float *dv);

/* ---- factorisation (src/factor) ---- */
typedef enum isg_factor_method {
    ISG_FACTOR_SVD = 1, /* SPEC section 7 'svd', with the released bug for level-2-only layers mended */
    ISG_FACTOR_ALS = 2, /* alternating least squares over both levels, weighted by `moment` if given */
    ISG_FACTOR_L2 = 3   /* SPEC section 7 'train': RAdam through the quantisers */
} isg_factor_method;

typedef struct isg_factor_options {
    uint32_t struct_size;
    uint32_t method;     /* isg_factor_method */
    uint32_t iterations; /* 0: a good default for the method (ALS 20 sweeps, L2 3000 steps) */
    float learning_rate; /* L2; 0: 2e-2 */
    uint64_t seed;
    const float *moment; /* second moment of the layer's input columns, [taps*ci][taps*ci] in row order of the stored
                            matrix (depthwise: [ci][taps][taps]), mean of x x^T; NULL: identity */
    int quantise_aware;  /* re-fit the remaining factors after each one is quantised */
    const isg_progress *progress; /* cancelled() is asked before every sweep or step; nothing is reported; NULL: none */
} isg_factor_options;

typedef struct isg_factor_report {
    double weight_error;                       /* ||W - W^||^2 / ||W||^2 with the quantised factors */
    double output_error;                       /* the same in the norm of `moment`; equals weight_error without it */
    double raw_weight_error, raw_output_error; /* before quantisation */
    uint32_t iterations;
} isg_factor_report;

/* Fills f (created with its levels and quant specs) so that its W approximates `hwio` [taps*ci][co]; f stays as it was
 * on failure. Errors: ARG, NUMERIC, NOMEM, CANCELLED. */
ISG_NODISCARD isg_status isg_factorise(isg_factors *f, const float *hwio, const isg_factor_options *options,
                                       isg_factor_report *report, isg_error *err);
/* For both levels off: rounds with error feedback through the inverse of `moment` (second-order post-training
 * quantisation, column by column); falls back to nearest rounding where moment is NULL. Codes end in f->basis. */
ISG_NODISCARD isg_status isg_factor_round_dense(isg_factors *f, const float *hwio, const float *moment,
                                                isg_factor_report *report, isg_error *err);

/* The same for a grouped or depthwise weight [taps*ci][co] (ci: of one group): moment holds one [taps*ci][taps*ci] a
 * group and columns g*co/groups .. belong to group g. The report's output error is in the plain norm. Without
 * per_column scales the moment is not used. */
ISG_NODISCARD isg_status isg_factor_round_grouped(isg_factors *f, const float *hwio, const float *moment,
                                                  uint32_t groups, isg_factor_report *report, isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
