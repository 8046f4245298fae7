/* SPDX-License-Identifier: Apache-2.0 */
/* Makes arbitrary bytes a sealed file (train/sealed.h), so that what lies behind kind, hash and checksum is met. */
#ifndef INSITU_FUZZ_SEAL_H
#define INSITU_FUZZ_SEAL_H

#include <string.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "train/sealed.h"

/* The last bit of the size chooses whether; `header` is what the kind needs at least. */
static inline void fuzz_seal(uint8_t *bytes, size_t size, const char magic[8], const uint8_t hash[32], size_t header)
{
    const isgi_sealed seal = {.magic = magic, .hash = hash, .header_bytes = ISGI_SEALED_FIELDS};
    uint8_t begin[ISGI_SEALED_FIELDS];
    if (size < header + 4 || (size & 1u)) return;
    isgi_sealed_begin(&seal, begin);
    memcpy(bytes, begin, sizeof begin);
    isgi_store_u32(bytes + size - 4, isgi_crc32c(0, bytes, size - 4));
}

#endif
