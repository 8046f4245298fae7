/* SPDX-License-Identifier: Apache-2.0 */
/* The reference device: every kernel of device_kernels.h as a plain loop, products by oneDNN, memory from the heap. */
#include "train/device.h"

#include "base/error.h"
#include "host/alloc.h"
#include "train/dnn.h"

#include <stdio.h>
#include <string.h>

#define ISGI_INLINE static inline
#define ISGI_ELEMENT(name) static void name##_element(const isgi_##name *a, uint32_t i)
#include "train/device_elements.h"

typedef void (*loop_fn)(size_t n, const void *args);

#define ISGI_LOOP(name)                                                                                                \
    static void name##_loop(size_t n, const void *args)                                                                \
    {                                                                                                                  \
        for (size_t i = 0; i < n; i++) name##_element(args, (uint32_t)i);                                              \
    }
ISGI_DEVICE_KERNELS(ISGI_LOOP)
#undef ISGI_LOOP

static const loop_fn loops[ISGI_KERNEL_COUNT] = {
#define ISGI_ENTRY(name) name##_loop,
    ISGI_DEVICE_KERNELS(ISGI_ENTRY)
#undef ISGI_ENTRY
};

typedef struct reference_device {
    isgi_device base;
    int failed;
} reference_device;

static isg_status reference_allocate(isgi_device *d, void **out, size_t bytes, isg_error *err)
{
    (void)d;
    *out = isgi_calloc(bytes + 1, 1);
    return *out ? ISG_OK : isgi_nomem(err);
}

static void reference_release(isgi_device *d, void *memory)
{
    (void)d;
    isg_free(memory);
}

static isg_status reference_copy(isgi_device *d, void *to, const void *from, size_t bytes, isg_error *err)
{
    if (((reference_device *)d)->failed) return isgi_fail(err, ISG_E_INTERNAL, "training: a oneDNN product failed");
    memcpy(to, from, bytes);
    return ISG_OK;
}

static void reference_pin(isgi_device *d, void *host, size_t bytes)
{
    (void)d;
    (void)host;
    (void)bytes;
}

static void reference_unpin(isgi_device *d, void *host)
{
    (void)d;
    (void)host;
}

static void reference_multiply(isgi_device *d, const isgi_product *p)
{
    for (size_t j = 0; j < p->count; j++) {
        const dnnl_status_t ok = isgi_dnn_sgemm(
            p->ta ? 'T' : 'N', p->tb ? 'T' : 'N', p->m, p->n, p->k, 1.0f, p->a + j * p->m * p->k, p->ta ? p->m : p->k,
            p->b + j * p->k * p->n, p->tb ? p->k : p->n, p->add ? 1.0f : 0.0f, p->c + j * p->m * p->n, p->n);
        if (ok != dnnl_success) ((reference_device *)d)->failed = 1;
    }
}

static void reference_launch(isgi_device *d, uint32_t kernel, size_t n, const void *args)
{
    if (!((reference_device *)d)->failed) loops[kernel](n, args);
}

static void reference_close(isgi_device *d)
{
    isg_free(d);
}

isg_status isgi_device_open_reference(isgi_device **out, isg_error *err)
{
    reference_device *r = isgi_calloc(1, sizeof *r);
    if (!r) return isgi_nomem(err);
    r->base = (isgi_device){.name = "reference",
                            .allocate = reference_allocate,
                            .release = reference_release,
                            .upload = reference_copy,
                            .download = reference_copy,
                            .pin = reference_pin,
                            .unpin = reference_unpin,
                            .multiply = reference_multiply,
                            .launch = reference_launch,
                            .close = reference_close};
    *out = &r->base;
    return ISG_OK;
}
