/* SPDX-License-Identifier: Apache-2.0 */
/* exp(x) for x <= 0 on a vector (vec_ISA.h), operation for operation isgi_exp_negative(). */
#ifndef INSITU_KERNELS_EXP_BODY_H
#define INSITU_KERNELS_EXP_BODY_H

static inline vf vf_exp_negative(vf x)
{
    const vf least = vf_set1(ISGI_EXP_MIN), round = vf_set1(ISGI_EXP_ROUND), one = vf_set1(1.0f);
    const vf clamped = vf_max(least, x);
    const vf t = vf_add(vf_mul(clamped, vf_set1(ISGI_EXP_LOG2E)), round), n = vf_sub(t, round);
    const vf r = vf_sub(vf_sub(clamped, vf_mul(n, vf_set1(ISGI_EXP_LN2_HI))), vf_mul(n, vf_set1(ISGI_EXP_LN2_LO)));
    vf p = vf_set1(ISGI_EXP_C7);
    p = vf_add(vf_mul(p, r), vf_set1(ISGI_EXP_C6));
    p = vf_add(vf_mul(p, r), vf_set1(ISGI_EXP_C5));
    p = vf_add(vf_mul(p, r), vf_set1(ISGI_EXP_C4));
    p = vf_add(vf_mul(p, r), vf_set1(ISGI_EXP_C3));
    p = vf_add(vf_mul(p, r), vf_set1(ISGI_EXP_C2));
    p = vf_add(vf_mul(p, r), one);
    p = vf_add(vf_mul(p, r), one);
    return vf_if_less(x, least, vf_set1(0.0f), vf_mul(p, vf_power(t)));
}

#endif
