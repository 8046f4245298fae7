/* SPDX-License-Identifier: Apache-2.0 */
/* The bit stream of packed codes: least significant bit first, codes across byte borders (weight.h, isg_codes). */
#ifndef INSITU_BASE_BITS_H
#define INSITU_BASE_BITS_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that `count` codes of `bits` (1..32) take; UINT64_MAX if that does not fit. */
static inline uint64_t isgi_bits_bytes(uint64_t count, uint32_t bits)
{
    if (count > (UINT64_MAX - 7u) / bits) return UINT64_MAX;
    return (count * bits + 7u) / 8u;
}

/* Plain storage. `overflow` is set, and nothing written, once a code does not fit. */
typedef struct isgi_bit_writer {
    uint8_t *data;
    size_t capacity; /* bytes at data */
    size_t bytes;    /* whole bytes written */
    uint32_t held;   /* bits below 8 that wait in `pending` */
    uint32_t pending;
    int overflow;
} isgi_bit_writer;

static inline void isgi_bit_writer_init(isgi_bit_writer *w, uint8_t *data, size_t capacity)
{
    w->data = data;
    w->capacity = capacity;
    w->bytes = 0;
    w->held = 0;
    w->pending = 0;
    w->overflow = 0;
}

/* Appends the low `bits` (1..32) bits of code. */
static inline void isgi_bit_write(isgi_bit_writer *w, uint32_t code, uint32_t bits)
{
    const uint64_t low = bits < 32 ? code & ((1u << bits) - 1u) : code;
    uint64_t word = w->pending | low << w->held;
    uint32_t held = w->held + bits;
    if (w->overflow || (held + 7u) / 8u > w->capacity - w->bytes) {
        w->overflow = 1;
        return;
    }
    for (; held >= 8; held -= 8, word >>= 8) w->data[w->bytes++] = (uint8_t)word;
    w->held = held;
    w->pending = (uint32_t)word;
}

/* Writes the last, partly filled byte with zeros above; returns the bytes of the stream. */
static inline size_t isgi_bit_writer_finish(isgi_bit_writer *w)
{
    if (w->held) w->data[w->bytes++] = (uint8_t)w->pending; /* isgi_bit_write() made sure that there is room */
    w->held = 0;
    w->pending = 0;
    return w->bytes;
}

/* Code `index` of a stream of codes of `bits` (1..32). Bits beyond src_bytes read as zero. */
static inline uint32_t isgi_bit_read(const uint8_t *src, size_t src_bytes, uint64_t index, uint32_t bits)
{
    const uint64_t bit = index * bits, byte = bit >> 3;
    const uint32_t shift = (uint32_t)(bit & 7u), touched = (shift + bits + 7u) / 8u;
    uint64_t word = 0;
    for (uint32_t i = 0; i < touched; i++) {
        if (byte < src_bytes && i < src_bytes - byte) word |= (uint64_t)src[byte + i] << (8 * i);
    }
    return (uint32_t)(word >> shift & ((UINT64_C(1) << bits) - 1u));
}

#endif
