/* SPDX-License-Identifier: Apache-2.0 */
/* Places blocks of known life span in one arena, in the order of their births. */
#include "rt/plan_memory.h"

#include <string.h>

void isgi_arena_init(isgi_arena *a)
{
    a->peak = 0;
    a->count = 0;
}

void isgi_arena_release(isgi_arena *a, uint32_t now)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->live[i].last >= now) a->live[kept++] = a->live[i];
    a->count = kept;
}

isg_status isgi_arena_take(isgi_arena *a, uint64_t size, uint32_t last, uint32_t owner, uint64_t *offset)
{
    uint64_t end = 0, best = UINT64_MAX;
    uint32_t at = a->count;
    if (a->count == ISGI_ARENA_LIVE) return ISG_E_LIMIT;
    for (uint32_t i = 0; i < a->count; i++) {
        const uint64_t gap = a->live[i].offset - end;
        if (gap >= size && gap < best) {
            best = gap;
            at = i;
        }
        end = a->live[i].offset + a->live[i].size;
    }
    if (at < a->count) end = at ? a->live[at - 1].offset + a->live[at - 1].size : 0;
    if (size > UINT64_MAX - end) return ISG_E_LIMIT;
    memmove(a->live + at + 1, a->live + at, (a->count - at) * sizeof a->live[0]);
    a->live[at].offset = end;
    a->live[at].size = size;
    a->live[at].last = last;
    a->live[at].owner = owner;
    a->count++;
    if (end + size > a->peak) a->peak = end + size;
    *offset = end;
    return ISG_OK;
}

int isgi_arena_hand_over(isgi_arena *a, uint32_t from, uint64_t size, uint32_t last, uint32_t owner, uint64_t *offset)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->live[i].owner == from && a->live[i].size == size) {
            a->live[i].last = last;
            a->live[i].owner = owner;
            *offset = a->live[i].offset;
            return 1;
        }
    }
    return 0;
}
