/* SPDX-License-Identifier: Apache-2.0 */
/* The only door to the heap of the hosted library, so that tests can make every allocation fail once. */
#ifndef INSITU_HOST_ALLOC_H
#define INSITU_HOST_ALLOC_H

#include <insitu/memory.h>
#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

/* All return memory aligned to 64 bytes, released with isg_free(). NULL on failure or when count*size overflows. */
void *isgi_malloc(size_t bytes);
void *isgi_calloc(size_t count, size_t size);
void *isgi_realloc(void *p, size_t old_bytes, size_t new_bytes); /* p stays valid when NULL is returned */
char *isgi_strdup(const char *s);
char *isgi_strndup(const char *s, size_t n);

/* Tests: the n-th allocation from now fails (0: never). Returns how many have happened since the last call. */
uint64_t isgi_alloc_fail_at(uint64_t n);

/* Fills err with a printf-formatted one-line message (control characters of quoted names are the caller's to escape
 * with isgi_escape) and returns `status`. */
isg_status isgi_fail(isg_error *err, isg_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* ISG_E_NOMEM with a fixed text. */
isg_status isgi_nomem(isg_error *err);
/* ISG_E_IO as "PATH: strerror(errno)". */
isg_status isgi_fail_errno(isg_error *err, const char *path);
/* Copies s with control characters and non-ASCII bytes as \xNN; always terminates; returns dst. */
char *isgi_escape(char *dst, size_t size, const char *s);

#endif
