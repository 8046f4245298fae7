/* SPDX-License-Identifier: Apache-2.0 */
/* The four memory functions that the runtime needs from outside; a freestanding compiler has no <string.h>. */
#ifndef INSITU_BASE_MEM_H
#define INSITU_BASE_MEM_H

#if __STDC_HOSTED__
#include <string.h>
#else
#include <stddef.h>
void *memcpy(void *restrict dst, const void *restrict src, size_t bytes);
void *memmove(void *dst, const void *src, size_t bytes);
void *memset(void *dst, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
#endif

#endif
