/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the .isg file format, version 1.0. docs/format.md says what they mean. */
#ifndef INSITU_FORMAT_H
#define INSITU_FORMAT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ISG_FORMAT_MAGIC "\x89ISG\r\n\x1a\n" /* 8 bytes, no terminator in the file */
#define ISG_FORMAT_MAJOR 1u
#define ISG_FORMAT_MINOR 0u
#define ISG_FORMAT_HEADER_BYTES 64u
#define ISG_FORMAT_SECTION_BYTES 32u
#define ISG_FORMAT_ALIGNMENT 64u /* of every section, from the start of the file */
#define ISG_FORMAT_BLOB_ALIGN 4u /* of every blob inside WEIGHTS */
#define ISG_FORMAT_MAX_SECTIONS 64u

/* Offsets of the header's fields. */
#define ISG_FORMAT_AT_MAJOR 8u       /* u16 */
#define ISG_FORMAT_AT_MINOR 10u      /* u16 */
#define ISG_FORMAT_AT_FLAGS 12u      /* u32, 0 in version 1.0 */
#define ISG_FORMAT_AT_FILE_BYTES 16u /* u64 */
#define ISG_FORMAT_AT_SECTIONS 24u   /* u32, number of section table entries */
#define ISG_FORMAT_AT_CRC 28u        /* u32, CRC32C of the header (this field 0) and the section table */

/* Section kinds. A reader that does not know a kind with the top bit set must refuse the file. */
#define ISG_SECTION_REQUIRED 0x80000000u
#define ISG_SECTION_GRAPH 0x80000001u
#define ISG_SECTION_WEIGHTS 0x80000002u
#define ISG_SECTION_INPUT 3u
#define ISG_SECTION_CLASSES 4u
#define ISG_SECTION_META 5u
#define ISG_SECTION_GOLDEN 6u
#define ISG_SECTION_ACTIVATIONS 7u

#define ISG_FORMAT_INPUT_BYTES 64u
#define ISG_FORMAT_GOLDEN_HEADER_BYTES 16u
#define ISG_FORMAT_ACTIVATION_BYTES 16u /* a conv or fc */

/* Limits of the GRAPH section. */
#define ISG_FORMAT_MAX_RANK 4u
#define ISG_FORMAT_MAX_IO 16u
#define ISG_FORMAT_MAX_COUNT 4096u          /* constants, weights, ops */
#define ISG_FORMAT_MAX_DIM 0x1000000u       /* 2^24 */
#define ISG_FORMAT_MAX_ELEMENTS 0x40000000u /* 2^30, product of the dims of one tensor (one image) or one factor */
#define ISG_FORMAT_MAX_NAME 1024u           /* bytes */
#define ISG_FORMAT_MAX_OPERANDS 256u        /* of concat */
#define ISG_FORMAT_MAX_WINDOW 4096u         /* kernel, stride, dilation, pad */

/* Flags of a weight record. */
#define ISG_WEIGHT_LEVEL1 1u
#define ISG_WEIGHT_LEVEL2 2u
#define ISG_WEIGHT_DEPTHWISE 4u

/* How the scales of one factor are stored. */
typedef enum isg_scale_mode {
    ISG_SCALE_NONE = 0, /* RAW */
    ISG_SCALE_ONE_F32 = 1,
    ISG_SCALE_ONE_F16 = 2,
    ISG_SCALE_COLUMN_F32 = 3, /* one a column of the stored matrix */
    ISG_SCALE_COLUMN_F16 = 4
} isg_scale_mode;

typedef enum isg_op_kind {
    ISG_KIND_CONV = 1,
    ISG_KIND_FC = 2,
    ISG_KIND_MAX_POOL = 3,
    ISG_KIND_AVERAGE_POOL = 4,
    ISG_KIND_GLOBAL_AVERAGE_POOL = 5,
    ISG_KIND_GLOBAL_MAX_POOL = 6,
    ISG_KIND_BINARY = 7,
    ISG_KIND_AFFINE = 8,
    ISG_KIND_ACTIVATION = 9,
    ISG_KIND_SOFTMAX = 10,
    ISG_KIND_CONCAT = 11,
    ISG_KIND_SLICE = 12,
    ISG_KIND_PAD = 13,
    ISG_KIND_TRANSPOSE = 14,
    ISG_KIND_RESHAPE = 15,
    ISG_KIND_REDUCE_MEAN = 16
} isg_op_kind;

typedef enum isg_binary_kind {
    ISG_BINARY_ADD = 0,
    ISG_BINARY_SUB = 1,
    ISG_BINARY_MUL = 2,
    ISG_BINARY_DIV = 3
} isg_binary_kind;

/* p and q are the two optional parameters of the activation. */
typedef enum isg_activation {
    ISG_ACTIVATION_NONE = 0,
    ISG_ACTIVATION_RELU = 1,         /* max(x, 0) */
    ISG_ACTIVATION_CLIP = 2,         /* min(max(x, p), q); p and q may be infinite, p <= q */
    ISG_ACTIVATION_LEAKY_RELU = 3,   /* x < 0 ? p x : x */
    ISG_ACTIVATION_SIGMOID = 4,      /* 1 / (1 + exp(-x)) */
    ISG_ACTIVATION_HARD_SIGMOID = 5, /* min(max(p x + q, 0), 1) */
    ISG_ACTIVATION_HARD_SWISH = 6,   /* x min(max(x / 6 + 0.5, 0), 1) */
    ISG_ACTIVATION_SILU = 7          /* x / (1 + exp(-x)) */
} isg_activation;

typedef enum isg_pad_kind { ISG_FILL_CONSTANT = 0, ISG_FILL_REFLECT = 1, ISG_FILL_EDGE = 2 } isg_pad_kind;

#define ISG_POOL_COUNT_INCLUDE_PAD 1u /* flag of an average pool */

/* The golden input: number i (0-based, one stream over all inputs in order) of the stream that `state`, set to the
 * stored seed at first, makes: SplitMix64, its top 24 bits as k, the value k * 2^-23 - 1 (exact, in [-1, 1)). */
static inline float isg_golden_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (float)(z >> 40) * (1.0f / 8388608.0f) - 1.0f;
}

#ifdef __cplusplus
}
#endif
#endif
