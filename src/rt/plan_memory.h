/* SPDX-License-Identifier: Apache-2.0 */
/* Places blocks of known life span in one arena, in the order of their births. */
#ifndef INSITU_RT_PLAN_MEMORY_H
#define INSITU_RT_PLAN_MEMORY_H

#include <insitu/status.h>
#include <stdint.h>

#define ISGI_ARENA_LIVE 512u /* blocks alive at once */

typedef struct isgi_arena_block {
    uint64_t offset, size;
    uint32_t last; /* last moment of use */
    uint32_t owner;
} isgi_arena_block;

/* The blocks alive now, by offset. Small enough for a stack: planning has no other memory. */
typedef struct isgi_arena {
    uint64_t peak; /* bytes the arena must have */
    uint32_t count;
    isgi_arena_block live[ISGI_ARENA_LIVE];
} isgi_arena;

void isgi_arena_init(isgi_arena *a);
/* Frees every block whose last use lies before `now`. */
void isgi_arena_release(isgi_arena *a, uint32_t now);
/* Best fit: the smallest gap that holds `size` bytes, else the end. Error: LIMIT (too many live blocks, overflow). */
isg_status isgi_arena_take(isgi_arena *a, uint64_t size, uint32_t last, uint32_t owner, uint64_t *offset);
/* Hands the block of `from` to `owner` if it has exactly `size` bytes; 0 if there is none. */
int isgi_arena_hand_over(isgi_arena *a, uint32_t from, uint64_t size, uint32_t last, uint32_t owner, uint64_t *offset);

#endif
