/* SPDX-License-Identifier: Apache-2.0 */
/* Writes and checks sealed files of floats. */
#include "train/sealed.h"

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/error.h"
#include "host/alloc.h"

#include <string.h>

#define BYTE_ORDER_MARK 0x01020304u
#define KIND_BYTES 12u /* magic and mark */
#define HASH_AT 16u
#define HASH_BYTES 32u
#define TAIL_BYTES 4u

void isgi_sealed_begin(const isgi_sealed *s, uint8_t *header)
{
    const uint32_t mark = BYTE_ORDER_MARK;
    memset(header, 0, s->header_bytes);
    memcpy(header, s->magic, 8);
    memcpy(header + 8, &mark, sizeof mark);
    memcpy(header + HASH_AT, s->hash, HASH_BYTES);
}

static isg_status write_parts(const isgi_sealed *s, const uint8_t *header, const isgi_floats *parts, int count,
                              isg_writer *w, isg_error *err)
{
    uint8_t tail[TAIL_BYTES];
    uint32_t crc = isgi_crc32c(0, header, s->header_bytes);
    ISGI_TRY(isg_writer_write(w, header, s->header_bytes, err));
    for (int i = 0; i < count; i++) {
        crc = isgi_crc32c(crc, parts[i].data, parts[i].count * sizeof(float));
        ISGI_TRY(isg_writer_write(w, parts[i].data, parts[i].count * sizeof(float), err));
    }
    isgi_store_u32(tail, crc);
    return isg_writer_write(w, tail, sizeof tail, err);
}

isg_status isgi_sealed_write(const isgi_sealed *s, const uint8_t *header, const isgi_floats *parts, int count,
                             isg_error *err)
{
    isg_writer *w = NULL;
    isg_status status;
    ISGI_TRY(isg_writer_open(&w, s->path, err));
    status = write_parts(s, header, parts, count, w, err);
    if (status != ISG_OK) {
        isg_writer_abort(w);
        return status;
    }
    return isg_writer_commit(w, err);
}

isg_status isgi_sealed_check(const isgi_sealed *s, const void *bytes, size_t size, size_t floats, isg_error *err)
{
    const uint8_t *h = bytes;
    const uint32_t mark = BYTE_ORDER_MARK;
    uint8_t kind[KIND_BYTES];
    char name[128];
    isgi_escape(name, sizeof name, s->path);
    memcpy(kind, s->magic, 8);
    memcpy(kind + 8, &mark, sizeof mark);
    if (size < s->header_bytes + TAIL_BYTES || memcmp(h, kind, sizeof kind) != 0) {
        return isgi_fail(err, ISG_E_FORMAT, "%s: %s", name, s->strange);
    }
    if (isgi_crc32c(0, h, size - TAIL_BYTES) != isgi_load_u32(h + size - TAIL_BYTES)) {
        return isgi_fail(err, ISG_E_CHECKSUM, "%s: %s", name, s->damaged);
    }
    if (memcmp(h + HASH_AT, s->hash, HASH_BYTES) != 0) return isgi_fail(err, ISG_E_ARG, "%s: %s", name, s->foreign);
    if (size != s->header_bytes + floats * sizeof(float) + TAIL_BYTES) {
        return isgi_fail(err, ISG_E_FORMAT, "%s: %s", name, s->odd_size);
    }
    return ISG_OK;
}
