/* SPDX-License-Identifier: Apache-2.0 */
/* Files of floats in the machine's byte order behind a header that says what they belong to, with a checksum of
 * everything: checkpoints and teachers' outputs. */
#ifndef INSITU_TRAIN_SEALED_H
#define INSITU_TRAIN_SEALED_H

#include <insitu/host.h>
#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

/* The header begins with eight bytes of magic, a mark of the byte order, four zeros and a hash; fields follow from
 * here. */
#define ISGI_SEALED_FIELDS 48u

typedef struct isgi_sealed {
    const char *path, *magic; /* eight bytes */
    const uint8_t *hash;      /* 32 bytes: of what the floats belong to */
    size_t header_bytes;
    /* what is said of a file: of another kind, damaged, of another hash, of another size */
    const char *strange, *damaged, *foreign, *odd_size;
} isgi_sealed;

typedef struct isgi_floats {
    float *data;
    size_t count;
} isgi_floats;

/* Zeros but for what stands before ISGI_SEALED_FIELDS. */
void isgi_sealed_begin(const isgi_sealed *s, uint8_t *header);
/* Atomic: the file is as it was, or whole. */
ISG_NODISCARD isg_status isgi_sealed_write(const isgi_sealed *s, const uint8_t *header, const isgi_floats *parts,
                                           int count, isg_error *err);
/* Whether the bytes are a whole file of this kind and hash with `floats` floats. Errors: FORMAT (another kind or size),
 * CHECKSUM, ARG (another hash). */
ISG_NODISCARD isg_status isgi_sealed_check(const isgi_sealed *s, const void *bytes, size_t size, size_t floats,
                                           isg_error *err);

#endif
