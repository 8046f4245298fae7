/* SPDX-License-Identifier: Apache-2.0 */
/* The factorisation problem min tr((W - W^)^T M (W - W^)), its state and the exact or descending partial solves. */
#ifndef INSITU_FACTOR_ALS_H
#define INSITU_FACTOR_ALS_H

#include <insitu/factors.h>

/* W is [rows][cols] in the stored order, M its rows' second moment plus a small ridge. C = level 1, [rows][rank];
 * rank is bo, or co where level 2 is off (then C is W^ itself and v is NULL). */
typedef struct isgi_als {
    const isg_factors *f; /* geometry only */
    const float *w;
    const float *moment;          /* [rows][rows]; depthwise [ci][taps][taps]; NULL: identity */
    const isg_progress *progress; /* cancelled() is asked before every sweep; NULL: never. Set by the caller */
    size_t rows, cols, rank;
    float ridge;
    double energy;    /* tr(W^T M W) */
    double objective; /* of b, u, v as of the last solve or isgi_als_measure() */
    float *b, *u, *v; /* current numbers in the stored order */
    float *mw;        /* M W [rows][cols] (W itself without a moment) */
    float *c, *mc;    /* C and M C */
    float *gv;        /* M W V^T [rows][rank] */
    float *s;         /* V V^T [rank][rank] */
    float *work;      /* [rows][rank], then 4 times the larger of b and u for the conjugate gradients */
    size_t nb, nu, nv;
    void *buffer, *owned_mw;
} isgi_als;

ISG_NODISCARD isg_status isgi_als_init(isgi_als *a, const isg_factors *f, const float *w, const float *moment,
                                       isg_error *err);
void isgi_als_clear(isgi_als *a);
/* out = M in for `n` columns (leading dimension n). */
void isgi_als_apply(const isgi_als *a, float *out, const float *in, size_t n);
/* C and M C from b and u. */
void isgi_als_level1(isgi_als *a);
/* v by normal equations; without level 2 only measures. Leaves c, mc, objective of the current factors. */
ISG_NODISCARD isg_status isgi_als_solve_v(isgi_als *a, isg_error *err);
/* Objective of b, u, v as they are. */
void isgi_als_measure(isgi_als *a);
/* `steps` of preconditioned conjugate gradients on u (or on b) with the others fixed; never increases the objective.
 * With level 1 off b is solved exactly and u does not exist. */
ISG_NODISCARD isg_status isgi_als_solve_u(isgi_als *a, uint32_t steps, isg_error *err);
ISG_NODISCARD isg_status isgi_als_solve_b(isgi_als *a, uint32_t steps, isg_error *err);
/* Sweeps of all three until the objective stalls; returns the sweeps done in *done. */
ISG_NODISCARD isg_status isgi_als_run(isgi_als *a, uint32_t sweeps, uint32_t *done, isg_error *err);
/* SPEC section 7 'svd' (by_output 0), or the best C for level 2 in the norm of M and then SVD for level 1 (1). */
ISG_NODISCARD isg_status isgi_als_start(isgi_als *a, int by_output, isg_error *err);
/* tr(D^T M D) without the ridge, D [rows][cols]; relative errors are made from it. */
ISG_NODISCARD isg_status isgi_moment_energy(double *out, const isg_factors *f, const float *moment, const float *d,
                                            isg_error *err);

#endif
