/* SPDX-License-Identifier: Apache-2.0 */
/* The int8 mode of convolutions and fully connected layers: u8 activations, the factors' codes as s8
 * (docs/numerics.md).
 */
#ifndef INSITU_RT_INT8_H
#define INSITU_RT_INT8_H

#include <insitu/weight.h>
#include <stddef.h>
#include <stdint.h>

/* What was measured on data for one layer; the intermediates' ranges are 0 where there is none. */
typedef struct isgi_ranges {
    float lo, hi; /* of the input */
    float mid;    /* largest magnitude behind U */
    float sum;    /* largest magnitude of what V reads */
} isgi_ranges;

/* How one layer runs in int8. Places count bytes: from the scratch's start, at_* from a worker's part. */
typedef struct isgi_int8 {
    uint8_t on; /* 0: the layer runs in float */
    uint8_t form;
    uint8_t made;      /* DENSE: W is made from its factors and rounded to codes */
    uint8_t pointwise; /* DENSE, CHAIN: an output pixel reads one pixel */
    uint8_t paired;    /* FACTORED: bases 2 i and 2 i + 1 of a channel lie side by side behind U */
    uint8_t takes;     /* the input is codes already: the step before wrote them into its output's place */
    uint8_t gives;     /* the output is codes of the next step's input */
    int32_t zero;      /* code of 0.0 in the input */
    float scale;       /* of the input */
    isgi_ranges ranges;
    uint64_t making;   /* multiply-adds that make W */
    uint32_t x_step;   /* bytes of an input pixel, padded to a multiple of 4 */
    uint32_t k, k4;    /* numbers of a gathered row and its groups of 4 */
    uint32_t groups;   /* of four taps */
    uint32_t sum_step; /* bytes of a pixel of what V reads */
    uint32_t left;     /* pixels of padding before a row of what taps read, */
    uint32_t line;     /* and of the row with both paddings; 0: there are no taps */
    uint32_t pixels;   /* DENSE, CHAIN: output pixels a task */
    uint32_t rows;     /* FACTORED: output rows a task, */
    uint32_t group;    /* and at once, */
    uint32_t ring;     /* from so many input rows behind U, row r in place r modulo that; */
    uint32_t share;    /* where not 0, all of them are made first, so many a task */
    size_t x, map, pad, ones, matrix, first, basis, codes, second;
    size_t init_first, init_basis, init_second, mul_first, mul_basis, mul_second, add;
    size_t worker, worker_bytes, at_tile, at_input, at_taps, at_mid, at_sums;
    uint64_t scratch; /* floats */
} isgi_int8;

#endif
