/* SPDX-License-Identifier: Apache-2.0 */
/* The heap of the hosted library (with a failure switch for tests) and formatted errors. */
#include "host/alloc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT 64u
/* From this size on, memory is asked for in huge pages where the system gives them: fewer TLB misses, fewer faults. */
#define HUGE_FROM ((size_t)32 << 20)
#define HUGE_PAGE ((size_t)2 << 20)

static atomic_uint_fast64_t alloc_count;
static atomic_uint_fast64_t alloc_fail_at;

uint64_t isgi_alloc_fail_at(uint64_t n)
{
    uint64_t seen = atomic_exchange(&alloc_count, 0);
    atomic_store(&alloc_fail_at, n);
    return seen;
}

static void *huge_malloc(size_t bytes)
{
    const size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *p = aligned_alloc(HUGE_PAGE, whole);
#ifdef MADV_HUGEPAGE
    /* a hint: without it the memory is merely slower */
    if (p) (void)madvise(p, whole, MADV_HUGEPAGE);
#endif
    return p;
}

void *isgi_malloc(size_t bytes)
{
    uint64_t number = atomic_fetch_add(&alloc_count, 1) + 1;
    if (number == atomic_load(&alloc_fail_at)) return NULL;
    if (bytes > SIZE_MAX - ALIGNMENT) return NULL;
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (bytes >= HUGE_FROM && bytes <= SIZE_MAX - HUGE_PAGE) return huge_malloc(bytes);
    return aligned_alloc(ALIGNMENT, bytes ? bytes : ALIGNMENT);
}

void *isgi_calloc(size_t count, size_t size)
{
    void *p;
    if (size && count > SIZE_MAX / size) return NULL;
    p = isgi_malloc(count * size);
    if (p) memset(p, 0, count * size);
    return p;
}

void *isgi_realloc(void *p, size_t old_bytes, size_t new_bytes)
{
    void *q = isgi_malloc(new_bytes);
    if (!q) return NULL;
    if (p) memcpy(q, p, old_bytes < new_bytes ? old_bytes : new_bytes);
    isg_free(p);
    return q;
}

void isg_free(void *p)
{
    free(p);
}

char *isgi_strndup(const char *s, size_t n)
{
    char *copy = isgi_malloc(n + 1);
    if (!copy) return NULL;
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *isgi_strdup(const char *s)
{
    return isgi_strndup(s, strlen(s));
}

isg_status isgi_fail(isg_error *err, isg_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        err->status = status;
        err->node = -1;
        err->offset = ISG_ERROR_NONE;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return status;
}

isg_status isgi_nomem(isg_error *err)
{
    return isgi_fail(err, ISG_E_NOMEM, "out of memory");
}

isg_status isgi_fail_errno(isg_error *err, const char *path)
{
    int code = errno;
    char name[160];
    return isgi_fail(err, ISG_E_IO, "%s: %s", isgi_escape(name, sizeof name, path), strerror(code));
}

char *isgi_escape(char *dst, size_t size, const char *s)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    if (size == 0) return dst;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        size_t need = c >= 32 && c < 127 ? 1 : 4;
        if (n + need + 1 > size) break;
        if (need == 1) {
            dst[n++] = (char)c;
        } else {
            dst[n++] = '\\';
            dst[n++] = 'x';
            dst[n++] = hex[c >> 4];
            dst[n++] = hex[c & 15];
        }
    }
    dst[n] = '\0';
    return dst;
}
