/* SPDX-License-Identifier: Apache-2.0 */
/* A device that runs the matrix work and the kernels of training in its own memory: CUDA, or the plain C reference. */
#ifndef INSITU_TRAIN_DEVICE_H
#define INSITU_TRAIN_DEVICE_H

#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

/* c[m][n] (+)= op(a)[m][k] op(b)[k][n], all row-major and dense, `count` times: item j at a + j m k, b + j k n and
 * c + j m n. ta: a is stored [k][m]; tb: b is stored [n][k]. */
typedef struct isgi_product {
    const float *a, *b;
    float *c;
    uint32_t m, n, k, count;
    uint8_t ta, tb, add;
    uint8_t tf32; /* operands may be rounded to TF32's 10 bits of mantissa, with sums in binary32 */
} isgi_product;

/* Calls are made by one thread and take effect in their order. What goes wrong in multiply(), launch() or
 * upload() may come back from the next download(), as INTERNAL; from then on every call fails or does nothing. */
typedef struct isgi_device isgi_device;
struct isgi_device {
    void *user;
    char name[96];
    /* Device memory, zeroed. Error: NOMEM. */
    isg_status (*allocate)(isgi_device *d, void **out, size_t bytes, isg_error *err);
    void (*release)(isgi_device *d, void *memory);
    isg_status (*upload)(isgi_device *d, void *to, const void *from, size_t bytes, isg_error *err);
    /* Waits for all that was asked for before. */
    isg_status (*download)(isgi_device *d, void *to, const void *from, size_t bytes, isg_error *err);
    /* Host memory that is copied often; a hint. Every pin() is undone before the memory is freed. */
    void (*pin)(isgi_device *d, void *host, size_t bytes);
    void (*unpin)(isgi_device *d, void *host);
    void (*multiply)(isgi_device *d, const isgi_product *p);
    /* Kernel number `kernel` of ISGI_DEVICE_KERNELS (device_kernels.h) over elements 0..n-1; args: its own struct. */
    void (*launch)(isgi_device *d, uint32_t kernel, size_t n, const void *args);
    void (*close)(isgi_device *d); /* frees d */
};

/* "cuda" or "cuda:N" (from the module insitu-cuda.so), or "reference": plain C, to check the others against.
 * Errors: ARG (no such name), UNSUPPORTED (built without, or no such device). */
ISG_NODISCARD isg_status isgi_device_open(isgi_device **out, const char *name, isg_error *err);
isg_status isgi_device_open_reference(isgi_device **out, isg_error *err);
static inline void isgi_device_close(isgi_device *d)
{
    if (d) d->close(d);
}

#endif
