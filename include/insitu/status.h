/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes and the caller-owned error record that every fallible call of both libraries uses. */
#ifndef INSITU_STATUS_H
#define INSITU_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define ISG_NODISCARD __attribute__((warn_unused_result))
#else
#define ISG_NODISCARD
#endif

/* Numbers are pinned for ever; new codes are appended. FORMAT: the file is wrong. UNSUPPORTED: the file is right but
 * we do not do it. LIMIT: a cap of the caller (memory, count) was hit. */
typedef enum isg_status {
    ISG_OK = 0,
    ISG_E_ARG = -1,         /* a caller's argument is invalid */
    ISG_E_NOMEM = -2,       /* the allocator returned nothing */
    ISG_E_WORKSPACE = -3,   /* the caller's workspace is too small or misaligned */
    ISG_E_IO = -4,          /* the operating system refused: message holds errno text */
    ISG_E_FORMAT = -5,      /* malformed input bytes */
    ISG_E_VERSION = -6,     /* a format version that this build does not read */
    ISG_E_CHECKSUM = -7,    /* bytes do not match their CRC32C */
    ISG_E_UNSUPPORTED = -8, /* valid, but outside what is implemented */
    ISG_E_LIMIT = -9,       /* a limit given by the caller or the specification is exceeded */
    ISG_E_SHAPE = -10,      /* shapes do not fit together */
    ISG_E_NUMERIC = -11,    /* NaN, infinity or a singular system */
    ISG_E_CANCELLED = -12,  /* stopped by the caller or by a signal */
    ISG_E_INTERNAL = -13,   /* a bug of ours */
    ISG_E_TARGET = -14      /* a size or accuracy target was missed */
} isg_status;

#define ISG_ERROR_NONE UINT64_MAX

/* Written once, where the fault is found, and passed up untouched. `message` is one line without a full stop. */
typedef struct isg_error {
    isg_status status;
    int32_t node;      /* index of the graph node or layer concerned, or -1 */
    uint64_t offset;   /* byte offset in the input concerned, or ISG_ERROR_NONE */
    char message[240]; /* NUL-terminated */
} isg_error;

/* Short fixed description of a code ("malformed input"); never NULL. */
const char *isg_status_text(isg_status status);

#ifdef __cplusplus
}
#endif
#endif
