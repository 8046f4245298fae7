/* SPDX-License-Identifier: Apache-2.0 */
/* Growth by doubling up to the declared maximum. */
#include "host/buffer.h"

#include <string.h>

#include "base/error.h"
#include "host/alloc.h"

#define FIRST_CAPACITY 4096u

void isgi_buffer_init(isgi_buffer *b, size_t maximum)
{
    b->data = NULL;
    b->size = b->capacity = 0;
    b->maximum = maximum;
}

void isgi_buffer_free(isgi_buffer *b)
{
    isg_free(b->data);
    isgi_buffer_init(b, b->maximum);
}

isg_status isgi_buffer_extend(isgi_buffer *b, size_t bytes, uint8_t **room, isg_error *err)
{
    if (bytes > b->maximum - b->size) {
        return isgi_fail(err, ISG_E_LIMIT, "more than %zu bytes in one buffer", b->maximum);
    }
    if (bytes > b->capacity - b->size || !b->data) {
        size_t need = b->size + bytes;
        size_t capacity = b->capacity > b->maximum / 2 ? b->maximum : b->capacity * 2;
        uint8_t *data;
        if (capacity < FIRST_CAPACITY) capacity = FIRST_CAPACITY < b->maximum ? FIRST_CAPACITY : b->maximum;
        if (capacity < need) capacity = need;
        data = isgi_realloc(b->data, b->size, capacity);
        if (!data) return isgi_nomem(err);
        b->data = data;
        b->capacity = capacity;
    }
    memset(b->data + b->size, 0, bytes);
    if (room) *room = b->data + b->size;
    b->size += bytes;
    return ISG_OK;
}

isg_status isgi_buffer_append(isgi_buffer *b, const void *data, size_t bytes, isg_error *err)
{
    uint8_t *room;
    ISGI_TRY(isgi_buffer_extend(b, bytes, &room, err));
    if (bytes) memcpy(room, data, bytes);
    return ISG_OK;
}

isg_status isgi_buffer_align(isgi_buffer *b, size_t alignment, isg_error *err)
{
    return isgi_buffer_extend(b, (alignment - (b->size & (alignment - 1))) & (alignment - 1), NULL, err);
}

void *isgi_buffer_take(isgi_buffer *b, size_t *bytes)
{
    void *data = b->data;
    if (bytes) *bytes = b->size;
    isgi_buffer_init(b, b->maximum);
    return data;
}
