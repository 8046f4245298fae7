/* SPDX-License-Identifier: Apache-2.0 */
/* From the real numbers of a factorisation to quantised factors, re-fitting what is left after each is fixed. */
#ifndef INSITU_FACTOR_REFIT_H
#define INSITU_FACTOR_REFIT_H

#include "factor/als.h"

/* Fills masters and scales of f (same geometry as a->f) from a->b, a->u, a->v, which are used up. `aware`: re-fits the
 * other factors to the quantised ones, in a few sweeps, and keeps the best. */
ISG_NODISCARD isg_status isgi_refit(isg_factors *f, isgi_als *a, int aware, isg_error *err);
/* Sets one factor to x [rows*cols] and x to what its quantiser makes of it. PAPER masters are the inverse tanh. */
ISG_NODISCARD isg_status isgi_refit_store(isg_factor *f, float *x, isg_error *err);

#endif
