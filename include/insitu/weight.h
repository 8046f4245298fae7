/* SPDX-License-Identifier: Apache-2.0 */
/* The packed form of one weight tensor: up to three low-bit factors and how they compose (shared by runtime and tools).
 */
#ifndef INSITU_WEIGHT_H
#define INSITU_WEIGHT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
/* How a code j of q bits, 0..2^q-1, becomes a number. s is the scale of the tensor or of the column.
 *   PAPER     q >= 2: (j / (2^q - 1)) * 2 s - s, evaluated in that order in binary32;  q == 1: s * (2 j - 1)
 *             (SPEC section 3; s is r = max|tanh x|)
 *   MIDTREAD  q >= 2: (j - 2^(q-1)) * s, zero is a level;  q == 1: s * (2 j - 1)
 *   MIDRISE   (2 j - (2^q - 1)) * s, symmetric, zero is not a level
 *   RAW       q is 16 or 32: the number itself, IEEE binary16 or binary32; no scales */
/* clang-format on */
typedef enum isg_quant_family {
    ISG_QUANT_RAW = 0,
    ISG_QUANT_PAPER = 1,
    ISG_QUANT_MIDTREAD = 2,
    ISG_QUANT_MIDRISE = 3
} isg_quant_family;

/* A matrix [rows][cols] of codes, columns fastest, as one little-endian bit stream: code i occupies bits
 * i*bits .. i*bits+bits-1, least significant bit first. RAW data are little-endian IEEE numbers.
 * `scales` holds scale_count (0 for RAW, else 1 or cols) numbers of scale_bits (16 or 32) IEEE bits, little-endian.
 * Borrowed pointers; no alignment is promised. */
typedef struct isg_codes {
    const uint8_t *data;
    const uint8_t *scales;
    uint64_t data_bytes; /* ceil(rows * cols * bits / 8) */
    uint32_t rows, cols;
    uint32_t scale_count;
    uint8_t bits;   /* 1..8, or 16 or 32 with RAW */
    uint8_t family; /* isg_quant_family */
    uint8_t scale_bits;
    uint8_t reserved;
} isg_codes;

/* One weight tensor as a matrix W of [taps*ci rows][co columns], columns fastest; row index tap*ci + c; tap = kh*KW +
 * kw. ci is input channels per group. The paper's Co x Ci x k x k tensor (SPEC section 2) is this matrix transposed.
 *   level1 and level2: C[(t,c)][o] = sum_i basis[t][i*bo + o] * u[c][i*bo + o];  W = C . v
 *       basis [taps][bi*bo], u [ci][bi*bo], v [bo][co]
 *   level1 only: the same with bo == co and W = C.      level2 only: basis [taps*ci][bo], W = basis . v
 *   neither: basis [taps*ci][co] is W itself (quantised or raw).
 * A depthwise weight C x 1 x k x k with level 1 on is one kernel with ci = C and co = 1 (SPEC 2.2): `depthwise` is set,
 * level2 is off, W is [taps*C][1]. With both levels off it is stored like any grouped weight: ci = 1, co = C,
 * `depthwise` clear, W [taps][C], so that scales can be one a channel. Both are the same numbers in the same order. */
typedef struct isg_weight {
    uint32_t taps, ci, co;
    uint32_t bi, bo; /* 0 when the level is off */
    uint8_t level1, level2, depthwise, reserved;
    isg_codes basis, u, v;
} isg_weight;

#ifdef __cplusplus
}
#endif
#endif
