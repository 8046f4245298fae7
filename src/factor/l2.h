/* SPDX-License-Identifier: Apache-2.0 */
/* The fit of factors to a weight by gradient descent through the quantisers (SPEC section 7 'train'). */
#ifndef INSITU_FACTOR_L2_H
#define INSITU_FACTOR_L2_H

#include <insitu/factors.h>

typedef struct isgi_l2_options {
    uint32_t steps;
    float learning_rate;
    int clamp;                                             /* the released code's clamp of gradient values */
    uint32_t scale_every;                                  /* fits learned scales anew after so many steps; 0: never */
    const float *moment;                                   /* as isg_factor_options; NULL: identity */
    const isg_progress *progress;                          /* cancelled() is asked before every step; NULL: never */
    void (*visit)(void *user, uint32_t step, double loss); /* NULL: none; step 0 is before the first update */
    void *user;
} isgi_l2_options;

/* Minimises mean((W^ - W)^2), or its moment-weighted form, from the masters that f holds, with RAdam; f ends at the
 * best step seen. Errors: NUMERIC, NOMEM, CANCELLED. */
ISG_NODISCARD isg_status isgi_l2_fit(isg_factors *f, const float *hwio, const isgi_l2_options *options, isg_error *err);

#endif
