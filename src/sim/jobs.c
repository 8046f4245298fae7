/* SPDX-License-Identifier: Apache-2.0 */
/* A layer in one mode as the matrix products that an engine runs (RELATED section 3.1, DESIGN section 3). */
#include "sim/cost.h"

isg_sim_mode isgi_layer_mode(const isg_sim_layer *l, isg_sim_mode asked)
{
    if (!l->level1 && !l->level2) return asked == ISG_SIM_RESIDENT ? asked : ISG_SIM_DENSE;
    /* A depthwise kernel has no cross-kernel level to leave ungenerated; with level 1 alone, level 1 is W. */
    if (asked == ISG_SIM_FACTORED && l->depthwise) return ISG_SIM_GENERATE;
    if (asked == ISG_SIM_HALF && !l->level2) return ISG_SIM_GENERATE;
    return asked;
}

double isgi_job_macs(const isgi_job *j)
{
    return j->m * j->k * j->n * j->groups;
}

static isgi_job product(double m, double channels, double taps, double n, double groups, unsigned bits_in,
                        unsigned bits_w)
{
    const isgi_job j = {.m = m,
                        .k = channels * taps,
                        .n = n,
                        .groups = groups,
                        .channels = channels,
                        .taps = taps,
                        .bits_in = bits_in,
                        .bits_w = bits_w,
                        .nonzero = 1,
                        .synaptic_ops = -1,
                        .timesteps = 1};
    return j;
}

/* Level 1: for each of bo kernels U [ci][bi] times the basis [bi][taps]; bo ci bi taps multiply-adds. */
static isgi_job make_level1(const isg_sim_layer *l)
{
    isgi_job j = product(l->depthwise ? l->co : l->ci, l->bi, 1, l->taps, l->bo, l->u_bits, l->basis_bits);
    j.generates = 1;
    return j;
}

/* Level 2: the bo kernels, K = ci taps numbers each, times V [bo][co]; co bo K multiply-adds. */
static isgi_job make_level2(const isg_sim_layer *l)
{
    isgi_job j =
        product((double)l->ci * l->taps, l->bo, 1, l->co, 1, l->level1 ? l->weight_bits : l->basis_bits, l->v_bits);
    j.generates = 2;
    return j;
}

static isgi_job whole(const isg_sim_layer *l, double pixels, unsigned bits_w)
{
    isgi_job j = product(pixels, l->ci, l->taps, (double)l->co / l->groups, l->groups, l->activation_bits, bits_w);
    j.ternary = l->ternary;
    j.nonzero = l->nonzero > 0 && l->nonzero <= 1 ? l->nonzero : 1;
    return j;
}

int isgi_layer_jobs(isgi_job jobs[ISGI_MAX_JOBS], const isg_sim_layer *l, isg_sim_mode mode, double batch,
                    double timesteps)
{
    const double pixels = (double)l->out_pixels * batch, in_pixels = (double)l->in_pixels * batch;
    const int factors = l->level1 || l->level2;
    int n = 0;
    if (mode == ISG_SIM_FACTORED && l->level1) {
        jobs[n++] = product(in_pixels, l->ci, 1, (double)l->bo * l->bi, 1, l->activation_bits, l->u_bits);
        jobs[n++] = product(pixels, l->bi, l->taps, 1, l->bo, l->activation_bits, l->basis_bits);
        if (l->level2) jobs[n++] = product(pixels, l->bo, 1, l->co, 1, l->activation_bits, l->v_bits);
    } else if (mode == ISG_SIM_HALF || mode == ISG_SIM_FACTORED) {
        if (l->level1) jobs[n++] = make_level1(l);
        jobs[n++] =
            product(pixels, l->ci, l->taps, l->bo, 1, l->activation_bits, l->level1 ? l->weight_bits : l->basis_bits);
        jobs[n++] = product(pixels, l->bo, 1, l->co, 1, l->activation_bits, l->v_bits);
    } else {
        if (factors && mode != ISG_SIM_DENSE) {
            if (l->level1) jobs[n++] = make_level1(l);
            if (l->level2) jobs[n++] = make_level2(l);
        }
        jobs[n] = whole(l, pixels, l->weight_bits);
        if (l->synaptic_ops >= 0) jobs[n].synaptic_ops = l->synaptic_ops * batch;
        n++;
    }
    for (int i = 0; i < n; i++) jobs[i].timesteps = timesteps;
    return n;
}
