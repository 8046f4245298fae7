/* SPDX-License-Identifier: Apache-2.0 */
/* A tiny writer of .isg images for the runtime's tests; independent of the product's writer. */
#ifndef INSITU_TEST_ISG_BUILDER_H
#define INSITU_TEST_ISG_BUILDER_H

#include <insitu/format.h>
#include <insitu/weight.h>

#include "base/crc32c.h"
#include "base/endian.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct bytes {
    uint8_t data[1u << 22];
    size_t size;
} bytes;

typedef struct builder {
    bytes inputs, constants, results, outputs, weights, ops, blobs, graph;
    uint32_t input_count, constant_count, op_count, output_count, weight_count;
    uint64_t random;
} builder;

static inline void put_u8(bytes *b, uint32_t v)
{
    if (b->size == sizeof b->data) abort();
    b->data[b->size++] = (uint8_t)v;
}

static inline void put_uv(bytes *b, uint32_t v)
{
    for (; v >= 128u; v >>= 7) put_u8(b, (v & 127u) | 128u);
    put_u8(b, v);
}

static inline void put_sv(bytes *b, int32_t v)
{
    put_uv(b, v < 0 ? (uint32_t)(-(v + 1)) * 2u + 1u : (uint32_t)v * 2u);
}

static inline void put_f32(bytes *b, float v)
{
    uint8_t raw[4];
    isgi_store_f32(raw, v);
    for (int i = 0; i < 4; i++) put_u8(b, raw[i]);
}

static inline void put_name(bytes *b, const char *name)
{
    put_uv(b, (uint32_t)strlen(name));
    for (; *name; name++) put_u8(b, (uint8_t)*name);
}

static inline void put_bytes(bytes *b, const bytes *src)
{
    for (size_t i = 0; i < src->size; i++) put_u8(b, src->data[i]);
}

static inline void put_shape(bytes *b, uint32_t rank, const uint32_t *dims)
{
    put_uv(b, rank);
    for (uint32_t i = 0; i < rank; i++) put_uv(b, dims[i]);
}

static inline uint32_t next_random(builder *b)
{
    b->random = b->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(b->random >> 33);
}

static inline float next_float(builder *b) /* in [-1, 1) */
{
    return (float)(next_random(b) & 0xffffu) / 32768.0f - 1.0f;
}

static inline void align_blob(builder *b)
{
    while (b->blobs.size & 3u) put_u8(&b->blobs, 0);
}

/* Random codes and scales of one factor. scale_mode as in isg_scale_mode; f16 scales are powers of two. */
static inline void add_codes(builder *b, uint32_t rows, uint32_t cols, uint32_t family, uint32_t bits, uint32_t mode)
{
    const uint64_t total = (uint64_t)rows * cols * bits;
    put_uv(&b->weights, family);
    put_uv(&b->weights, bits);
    put_uv(&b->weights, mode);
    align_blob(b);
    if (family == ISG_QUANT_RAW) {
        for (uint64_t i = 0; i < (uint64_t)rows * cols; i++) {
            if (bits == 32) {
                put_f32(&b->blobs, next_float(b));
            } else {
                const uint32_t h = 0x3000u | (next_random(b) & 0x87ffu); /* magnitudes 1/8 to 1/2 */
                put_u8(&b->blobs, h & 255u);
                put_u8(&b->blobs, h >> 8);
            }
        }
        return;
    }
    for (uint64_t i = 0; i < total / 8; i++) put_u8(&b->blobs, next_random(b) & 255u);
    if (total & 7u) put_u8(&b->blobs, next_random(b) & ((1u << (total & 7u)) - 1u));
    align_blob(b);
    for (uint32_t i = 0; i < (mode <= ISG_SCALE_ONE_F16 ? 1u : cols); i++) {
        const uint32_t shift = next_random(b) & 1u;
        if (mode == ISG_SCALE_ONE_F16 || mode == ISG_SCALE_COLUMN_F16) {
            put_u8(&b->blobs, 0);
            put_u8(&b->blobs, 0x28u + 4u * shift); /* 1/32 or 1/16 */
        } else {
            put_f32(&b->blobs, shift ? 0.07f : 0.04f);
        }
    }
}

/* A weight record with random data, every factor in the same family, bits and scale mode. bo counts only with level 2.
 */
static inline uint32_t add_weight(builder *b, uint32_t flags, uint32_t taps, uint32_t ci, uint32_t co, uint32_t bi,
                                  uint32_t bo, uint32_t family, uint32_t bits, uint32_t mode)
{
    const int level1 = (flags & ISG_WEIGHT_LEVEL1) != 0, level2 = (flags & ISG_WEIGHT_LEVEL2) != 0;
    const uint32_t width = level2 ? bo : co;
    put_uv(&b->weights, flags);
    put_uv(&b->weights, taps);
    put_uv(&b->weights, ci);
    put_uv(&b->weights, co);
    if (level1) put_uv(&b->weights, bi);
    if (level2) put_uv(&b->weights, bo);
    add_codes(b, level1 ? taps : taps * ci, level1 ? bi * width : width, family, bits, mode);
    if (level1) add_codes(b, ci, bi * width, family, bits, mode);
    if (level2) add_codes(b, bo, co, family, bits, mode);
    return b->weight_count++;
}

static inline uint32_t add_vector(builder *b, uint32_t n)
{
    return add_weight(b, 0, 1, 1, n, 0, 0, ISG_QUANT_RAW, 32, ISG_SCALE_NONE);
}

static inline void add_input(builder *b, uint32_t rank, const uint32_t *dims)
{
    put_shape(&b->inputs, rank, dims);
    put_name(&b->inputs, "x");
    b->input_count++;
}

static inline void add_output(builder *b, uint32_t tensor)
{
    put_uv(&b->outputs, tensor);
    put_name(&b->outputs, "y");
    b->output_count++;
}

/* Begins an operation whose output has these dims; the caller writes what follows the name to b->ops. */
static inline void add_op(builder *b, uint32_t kind, uint32_t rank, const uint32_t *dims)
{
    put_shape(&b->results, rank, dims);
    put_uv(&b->ops, kind);
    put_name(&b->ops, "op");
    b->op_count++;
}

static inline void put_section(uint8_t *image, uint32_t index, uint32_t kind, size_t offset, const bytes *body)
{
    uint8_t *e = image + ISG_FORMAT_HEADER_BYTES + (size_t)index * ISG_FORMAT_SECTION_BYTES;
    memcpy(image + offset, body->data, body->size);
    isgi_store_u32(e, kind);
    isgi_store_u32(e + 4, isgi_crc32c(0, body->data, body->size));
    isgi_store_u64(e + 8, offset);
    isgi_store_u64(e + 16, body->size);
}

/* The header's checksum again, after its or the table's bytes were changed. */
static inline void seal_image(uint8_t *image)
{
    const uint32_t sections = isgi_load_u32(image + ISG_FORMAT_AT_SECTIONS);
    isgi_store_u32(image + ISG_FORMAT_AT_CRC, 0);
    isgi_store_u32(image + ISG_FORMAT_AT_CRC,
                   isgi_crc32c(0, image, ISG_FORMAT_HEADER_BYTES + (size_t)sections * ISG_FORMAT_SECTION_BYTES));
}

/* The finished image, 64-byte aligned, to be freed by the caller. */
static inline uint8_t *finish_image(builder *b, size_t *size)
{
    const uint32_t sections = b->blobs.size ? 2 : 1;
    size_t at = ISG_FORMAT_HEADER_BYTES + sections * ISG_FORMAT_SECTION_BYTES, blobs_at;
    uint8_t *image;
    bytes *g = &b->graph;
    g->size = 0;
    put_uv(g, b->input_count);
    put_uv(g, b->constant_count);
    put_uv(g, b->weight_count);
    put_uv(g, b->op_count);
    put_uv(g, b->output_count);
    put_bytes(g, &b->inputs);
    put_bytes(g, &b->constants);
    put_bytes(g, &b->results);
    put_bytes(g, &b->outputs);
    put_bytes(g, &b->weights);
    put_bytes(g, &b->ops);
    at = (at + 63u) & ~(size_t)63u;
    blobs_at = (at + g->size + 63u) & ~(size_t)63u;
    *size = sections == 2 ? blobs_at + b->blobs.size : at + g->size;
    image = (uint8_t *)aligned_alloc(64, (*size + 63u) & ~(size_t)63u);
    if (!image) abort();
    memset(image, 0, (*size + 63u) & ~(size_t)63u);
    memcpy(image, ISG_FORMAT_MAGIC, 8);
    isgi_store_u16(image + ISG_FORMAT_AT_MAJOR, ISG_FORMAT_MAJOR);
    isgi_store_u64(image + ISG_FORMAT_AT_FILE_BYTES, *size);
    isgi_store_u32(image + ISG_FORMAT_AT_SECTIONS, sections);
    put_section(image, 0, ISG_SECTION_GRAPH, at, g);
    if (sections == 2) put_section(image, 1, ISG_SECTION_WEIGHTS, blobs_at, &b->blobs);
    seal_image(image);
    return image;
}

/* CRC32C over the bits of numbers, the same on every machine that computes the same bits. */
static inline uint32_t digest_floats(uint32_t crc, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t raw[4];
        isgi_store_f32(raw, x[i]);
        crc = isgi_crc32c(crc, raw, sizeof raw);
    }
    return crc;
}

static inline void reset_builder(builder *b, uint64_t seed)
{
    bytes *all[] = {&b->inputs, &b->constants, &b->results, &b->outputs, &b->weights, &b->ops, &b->blobs, &b->graph};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) all[i]->size = 0;
    b->input_count = b->constant_count = b->op_count = b->output_count = b->weight_count = 0;
    b->random = seed;
}

#endif
