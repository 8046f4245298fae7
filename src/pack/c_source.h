/* SPDX-License-Identifier: Apache-2.0 */
/* What C source says of a network. */
#ifndef INSITU_PACK_C_SOURCE_H
#define INSITU_PACK_C_SOURCE_H

#include <insitu/format.h>
#include <insitu/pack.h>

#include "pack/c_text.h"

#define ISGI_C_HEAD 64u /* bytes at the front of a workspace that the wrapper keeps for itself */

typedef struct isgi_c_network {
    const isg_model *model;
    const uint8_t *image;
    size_t image_bytes;
    uint32_t mode, isa; /* isg_mode; isg_isa bits that the wrapper allows */
    const char *header;
    uint32_t counts[2]; /* of inputs and of outputs, */
    isg_rt_io io[2][ISG_FORMAT_MAX_IO];
    uint64_t floats[2]; /* and of the numbers in all of them */
    /* Of little-endian machines, by instruction set: the most of all but AArch64's, and that one. */
    uint64_t workspace, workspace_neon;
    /* What the self-test expects: either is NULL, or both are and there is none. */
    const uint8_t *golden; /* the section inside the image */
    float *wanted;         /* outputs made here, to be freed */
    uint64_t seed;         /* of the input */
    double tolerance;      /* of the outputs, in parts of the largest or of 1 */
    uint32_t pair;         /* of the header's text, on which all of the source depends */
} isgi_c_network;

uint64_t isgi_c_floats(const isg_rt_io *io);
/* Sets `pair`, which the source wants. */
void isgi_c_write_header(isgi_c_text *t, isgi_c_network *n);
void isgi_c_write_source(isgi_c_text *t, const isgi_c_network *n);

#endif
