/* SPDX-License-Identifier: Apache-2.0 */
/* Dense weights from numbers that are already quantised (or deliberately not), through rt/gen. */
#ifndef INSITU_QUANT_FACTORS_WEIGHT_H
#define INSITU_QUANT_FACTORS_WEIGHT_H

#include <insitu/factors.h>

/* W [taps*ci][co] from b, u, v in the stored order (u, v NULL where off), by instructions in `isa` (isg_isa) that the
 * CPU has: they decide the last bits, so what goes into files takes ISG_ISA_SCALAR. Error: NOMEM. */
isg_status isgi_factors_compose(float *hwio, const isg_factors *f, const float *b, const float *u, const float *v,
                                uint32_t isa, isg_error *err);
/* isg_factor_quantise() of all three into one buffer (isg_free()); u, v become NULL where off. */
isg_status isgi_factors_quantised(const isg_factors *f, float **buffer, float **b, float **u, float **v,
                                  isg_error *err);

/* Level 1 alone: C [taps*ci][bo] from basis and u (SPEC section 2). */
void isgi_level1_forward(float *c, const isg_factors *f, const float *b, const float *u);
/* Its gradients from dC; db, du may be NULL. */
void isgi_level1_backward(const isg_factors *f, const float *dc, const float *b, const float *u, float *db, float *du);

#endif
