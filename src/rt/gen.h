/* SPDX-License-Identifier: Apache-2.0 */
/* Weight generation (SPEC section 2): the one definition, used by the runtime, by training and by the exporters. */
#ifndef INSITU_RT_GEN_H
#define INSITU_RT_GEN_H

#include <insitu/weight.h>

#include "kernels/kernels.h"

/* Numbers of rows row0 .. row0+rows-1 of a code matrix, row-major into dst[rows][cols]. */
void isgi_gen_dequant(const isgk_table *k, float *dst, const isg_codes *codes, uint32_t row0, uint32_t rows);

/* Columns col0 .. col0+columns-1 of the same rows to dst[r * ldd + c], zeros in columns .. width-1. */
void isgi_gen_columns(const isgk_table *k, float *dst, size_t ldd, const isg_codes *codes, uint32_t row0, uint32_t rows,
                      uint32_t col0, uint32_t columns, uint32_t width);

/* Rows row0 .. row0+rows-1 of the stored matrix W [taps*ci][co] from dequantised factors in the stored order
 * (weight.h). level1 && level2, level1 alone (v NULL), level2 alone (u NULL) or neither (a copy). `scratch` holds bo
 * floats a row. */
void isgi_gen_compose(const isgk_table *k, float *dst, const isg_weight *geometry, const float *basis, const float *u,
                      const float *v, uint32_t row0, uint32_t rows, float *scratch);

/* Scratch floats that isgi_gen_rows() needs for `rows` rows at a time. */
size_t isgi_gen_scratch_floats(const isg_weight *w, uint32_t rows);
/* The same from packed codes: dequantises what it needs (whole V and basis, the rows of U) and composes. */
void isgi_gen_rows(const isgk_table *k, float *dst, const isg_weight *w, uint32_t row0, uint32_t rows, float *scratch);

#endif
