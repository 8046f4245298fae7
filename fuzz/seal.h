/* SPDX-License-Identifier: Apache-2.0 */
/* Makes arbitrary bytes a sealed file (train/sealed.h), so that what lies behind kind, hash and checksum is met. */
#ifndef INSITU_FUZZ_SEAL_H
#define INSITU_FUZZ_SEAL_H

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "train/sealed.h"

/* A copy, to be freed; NULL without memory. The last bit of the size chooses whether it is sealed; `header` is what the
 * kind needs at least. */
static inline uint8_t *fuzz_sealed(const uint8_t *data, size_t size, const char magic[8], const uint8_t hash[32],
                                   size_t header)
{
    const isgi_sealed seal = {.magic = magic, .hash = hash, .header_bytes = ISGI_SEALED_FIELDS};
    uint8_t begin[ISGI_SEALED_FIELDS], *bytes = malloc(size ? size : 1);
    if (!bytes) return NULL;
    if (size) memcpy(bytes, data, size);
    if (size < header + 4 || (size & 1u)) return bytes;
    isgi_sealed_begin(&seal, begin);
    memcpy(bytes, begin, sizeof begin);
    isgi_store_u32(bytes + size - 4, isgi_crc32c(0, bytes, size - 4));
    return bytes;
}

#endif
