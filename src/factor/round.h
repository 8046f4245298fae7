/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding with error feedback: each row's rounding error is made up for by the rows that follow. */
#ifndef INSITU_FACTOR_ROUND_H
#define INSITU_FACTOR_ROUND_H

#include <insitu/factors.h>

/* y [rows][cols] := numbers on the grid of spec (MIDTREAD, MIDRISE) near w in the norm of moment [rows][rows] (NULL:
 * nearest), scale := the scales chosen, as stored (cols of them with per_column, else 1). Columns are independent but
 * for a shared scale. Errors: NUMERIC, NOMEM. */
ISG_NODISCARD isg_status isgi_round_feedback(float *y, float *scale, const float *w, size_t rows, size_t cols,
                                             const float *moment, isg_quant_spec spec, isg_error *err);

#endif
