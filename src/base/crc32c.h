/* SPDX-License-Identifier: Apache-2.0 */
/* CRC32C (Castagnoli), the checksum of the file format. */
#ifndef INSITU_BASE_CRC32C_H
#define INSITU_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to begin with) over `bytes` bytes: crc32c(crc32c(0, a), b) is that of a and b joined. */
uint32_t isgi_crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
