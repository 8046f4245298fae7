/* SPDX-License-Identifier: Apache-2.0 */
/* Random weights and their way through a rival method, for the tests of methods. */
#ifndef INSITU_TESTS_METHOD_WEIGHTS_H
#define INSITU_TESTS_METHOD_WEIGHTS_H

#include <insitu/methods.h>
#include <stdlib.h>

#include <cmocka.h>

static inline size_t count_of(const isg_method_shape *s)
{
    return (size_t)s->co * s->ci * s->kh * s->kw;
}

/* About normal, by the sum of uniform numbers; to be freed. */
static inline float *make_weight(const isg_method_shape *s, uint32_t seed)
{
    const size_t count = count_of(s);
    float *w = malloc(count * sizeof *w);
    uint32_t state = seed * 2654435761u + 12345u;
    assert_non_null(w);
    for (size_t i = 0; i < count; i++) {
        float sum = 0.0f;
        for (int k = 0; k < 6; k++) {
            state = state * 1664525u + 1013904223u;
            sum += (float)(state >> 8) / 16777216.0f - 0.5f;
        }
        w[i] = 0.1f * sum;
    }
    return w;
}

static inline isg_method *create(const char *text)
{
    isg_method *m;
    isg_error err = {0};
    if (isg_method_create(&m, text, &err) != ISG_OK) fail_msg("%s: %s", text, err.message);
    return m;
}

/* ||a - b||^2 / ||a||^2 */
static inline double error_of(const float *a, const float *b, size_t count)
{
    double lost = 0.0, whole = 0.0;
    for (size_t i = 0; i < count; i++) {
        const double e = (double)a[i] - (double)b[i];
        lost += e * e;
        whole += (double)a[i] * (double)a[i];
    }
    return lost / whole;
}

/* A weight as it was stored, and what its bytes decode to. */
typedef struct stored {
    uint8_t *bytes;
    size_t size;
    isg_method_cost cost;
    uint64_t bits; /* of all sections */
    float *made;
} stored;

static inline stored store_by(const isg_method *m, const isg_method_shape *s, const float *w)
{
    isg_error err = {0};
    stored r = {.made = malloc(count_of(s) * sizeof *r.made)};
    assert_non_null(r.made);
    if (isg_method_encode(m, s, w, &r.bytes, &r.size, &r.cost, &err) != ISG_OK ||
        isg_method_decode(m, s, r.bytes, r.size, r.made, &err) != ISG_OK)
        fail_msg("%s: %s", isg_method_text(m), err.message);
    for (int i = 0; i < ISG_SECTION_COUNT; i++) r.bits += r.cost.bits[i];
    return r;
}

static inline stored store(const char *text, const isg_method_shape *s, const float *w)
{
    isg_method *m = create(text);
    const stored r = store_by(m, s, w);
    isg_method_destroy(m);
    return r;
}

static inline void release(stored *r)
{
    isg_free(r->bytes);
    free(r->made);
}

#endif
