/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer that declares its maximum, so that no input can make it take all memory. */
#ifndef INSITU_HOST_BUFFER_H
#define INSITU_HOST_BUFFER_H

#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

typedef struct isgi_buffer {
    uint8_t *data; /* NULL while empty */
    size_t size, capacity, maximum;
} isgi_buffer;

/* An empty buffer that refuses to hold more than `maximum` bytes (LIMIT). Owns nothing yet. */
void isgi_buffer_init(isgi_buffer *b, size_t maximum);
void isgi_buffer_free(isgi_buffer *b);
/* Room for `bytes` more; *room (not NULL) is where they go, zero filled, and size has grown. Errors: LIMIT, NOMEM;
 * the buffer is unchanged then. `room` is valid until the next call. */
ISG_NODISCARD isg_status isgi_buffer_extend(isgi_buffer *b, size_t bytes, uint8_t **room, isg_error *err);
ISG_NODISCARD isg_status isgi_buffer_append(isgi_buffer *b, const void *data, size_t bytes, isg_error *err);
/* Zero bytes up to a multiple of `alignment` (a power of two). */
ISG_NODISCARD isg_status isgi_buffer_align(isgi_buffer *b, size_t alignment, isg_error *err);
/* Hands the memory over (free with isg_free()); the buffer is empty afterwards. */
void *isgi_buffer_take(isgi_buffer *b, size_t *bytes);

#endif
