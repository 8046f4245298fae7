/* SPDX-License-Identifier: Apache-2.0 */
/* A growing arena with a byte limit: everything protobuf-c makes of one file lives and dies together. */
#ifndef INSITU_ONNX_ARENA_H
#define INSITU_ONNX_ARENA_H

#include <insitu/status.h>
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

typedef struct isgi_onnx_arena {
    void *chunks; /* singly linked, newest first */
    uint8_t *next;
    size_t left;
    uint64_t used, limit; /* bytes taken from the heap; the cap on them */
    isg_status failure;   /* LIMIT or NOMEM once an allocation was refused; ISG_OK before */
} isgi_onnx_arena;

/* Zero-initialised arenas are valid once `limit` is set. Memory is zeroed, 16-byte aligned; NULL on failure. */
void *isgi_onnx_arena_alloc(isgi_onnx_arena *arena, size_t bytes);
void isgi_onnx_arena_free(isgi_onnx_arena *arena);
/* The arena as protobuf-c wants it; single frees do nothing. */
ProtobufCAllocator isgi_onnx_arena_allocator(isgi_onnx_arena *arena);

#endif
