/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the quantisers: scales as they are stored, weighted scale search, level of a number. */
#ifndef INSITU_QUANT_QUANTISER_H
#define INSITU_QUANT_QUANTISER_H

#include <insitu/factors.h>

/* Scales that the packed form holds: 0 for RAW, cols for per_column, else 1 (0 for an empty factor). */
uint32_t isgi_scale_count(const isg_factor *f);
/* Numbers behind f->scale where it is not NULL: as many as isgi_scale_count(), at least 1. */
uint32_t isgi_scale_capacity(const isg_factor *f);
/* A scale after rounding to the number of bits it is stored in: what the decoder multiplies by. */
float isgi_scale_stored(float scale, uint32_t scale_bits);
/* The integer that MIDTREAD or MIDRISE multiplies by the scale, for a number x; scale > 0 or 0. */
float isgi_level_nearest(float x, float scale, uint32_t bits, uint32_t family);
/* Its least and greatest value, and the distance between neighbours (1 or 2). */
void isgi_level_range(uint32_t bits, uint32_t family, float *lo, float *hi, float *step);
/* The scale, already as stored, of least sum_i weight[i] (x[i*stride] - Q(x[i*stride]))^2; weight NULL: all 1. */
float isgi_scale_search(const float *x, size_t stride, const float *weight, size_t n, isg_quant_spec spec);
/* PAPER's range as stored: max|tanh(master)|, or mean|master| at one bit. */
float isgi_paper_range(const isg_factor *f);
/* Checks the spec against what quantisers do. Error: ARG. */
isg_status isgi_quant_check(const isg_factor *f, isg_error *err);
/* Makes room for f->scale (zeros) if there is none. */
isg_status isgi_scale_reserve(isg_factor *f, isg_error *err);

#endif
