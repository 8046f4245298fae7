/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks of the arena that holds an unpacked or a to-be-packed ONNX message. */
#include "onnx/onnx_arena.h"

#include "host/alloc.h"

#define CHUNK_BYTES ((size_t)64 * 1024)
#define HEADER_BYTES 64u /* keeps the payload aligned like the chunk */

void *isgi_onnx_arena_alloc(isgi_onnx_arena *arena, size_t bytes)
{
    uint8_t *chunk;
    size_t payload, total;
    if (bytes > SIZE_MAX - CHUNK_BYTES) return NULL;
    bytes = bytes ? (bytes + 15u) & ~(size_t)15u : 16u;
    if (bytes <= arena->left) {
        void *p = arena->next;
        arena->next += bytes;
        arena->left -= bytes;
        return p;
    }
    payload = bytes > CHUNK_BYTES / 4 ? bytes : CHUNK_BYTES - HEADER_BYTES;
    total = payload + HEADER_BYTES;
    if (total > arena->limit || arena->used > arena->limit - total) {
        arena->failure = ISG_E_LIMIT;
        return NULL;
    }
    chunk = isgi_calloc(1, total);
    if (!chunk) {
        arena->failure = ISG_E_NOMEM;
        return NULL;
    }
    *(void **)(void *)chunk = arena->chunks;
    arena->chunks = chunk;
    arena->used += total;
    if (payload - bytes > arena->left) { /* a large block of its own must not waste the open chunk */
        arena->next = chunk + HEADER_BYTES + bytes;
        arena->left = payload - bytes;
    }
    return chunk + HEADER_BYTES;
}

void isgi_onnx_arena_free(isgi_onnx_arena *arena)
{
    void *chunk = arena->chunks;
    while (chunk) {
        void *older = *(void **)chunk;
        isg_free(chunk);
        chunk = older;
    }
    arena->chunks = NULL;
    arena->next = NULL;
    arena->left = 0;
    arena->used = 0;
}

static void *arena_alloc_callback(void *data, size_t bytes)
{
    return isgi_onnx_arena_alloc(data, bytes);
}

static void arena_free_callback(void *data, void *p)
{
    (void)data;
    (void)p;
}

ProtobufCAllocator isgi_onnx_arena_allocator(isgi_onnx_arena *arena)
{
    ProtobufCAllocator allocator = {arena_alloc_callback, arena_free_callback, arena};
    return allocator;
}
