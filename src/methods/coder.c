/* SPDX-License-Identifier: Apache-2.0 */
/* The bit stream of rival methods, and codes that several of them share. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "host/alloc.h"
#include "methods/method.h"

/* ---- bits ---- */

static int make_room(isgi_coder *c, uint32_t bits)
{
    const uint64_t needed = (c->position + bits + 7u) / 8u;
    const size_t more = c->capacity ? 2 * c->capacity : 256;
    uint8_t *data;
    if (c->status != ISG_OK || needed <= c->capacity) return c->status == ISG_OK;
    data = isgi_realloc(c->data, c->capacity, more);
    if (!data) {
        c->status = ISG_E_NOMEM;
        return 0;
    }
    memset(data + c->capacity, 0, more - c->capacity);
    c->data = data;
    c->capacity = more;
    return 1;
}

void isgi_coder_put(isgi_coder *c, isg_method_section section, uint32_t code, uint32_t bits)
{
    if (!make_room(c, bits)) return;
    for (uint32_t left = bits; left;) {
        const uint32_t at = (uint32_t)(c->position & 7u), some = 8u - at < left ? 8u - at : left;
        c->data[c->position >> 3] |= (uint8_t)((code & ((1u << some) - 1u)) << at);
        code >>= some;
        left -= some;
        c->position += some;
    }
    c->bits[section] += bits;
}

float isgi_coder_half(isgi_coder *c, isg_method_section section, float x)
{
    const uint16_t half = isgi_half_from_float(x);
    const float back = isgi_half_to_float(half);
    isgi_coder_put(c, section, half, 16);
    if (!isfinite(back) && c->status == ISG_OK) c->status = ISG_E_NUMERIC;
    return back;
}

uint32_t isgi_decoder_take(isgi_decoder *d, uint32_t bits)
{
    uint32_t code = 0;
    if (bits > (uint64_t)d->size * 8u - d->position) {
        d->bad = 1;
        return 0;
    }
    for (uint32_t done = 0; done < bits;) {
        const uint32_t at = (uint32_t)(d->position & 7u), some = 8u - at < bits - done ? 8u - at : bits - done;
        code |= ((uint32_t)d->data[d->position >> 3] >> at & ((1u << some) - 1u)) << done;
        done += some;
        d->position += some;
    }
    return code;
}

float isgi_decoder_half(isgi_decoder *d)
{
    const float x = isgi_half_to_float((uint16_t)isgi_decoder_take(d, 16));
    if (isfinite(x)) return x;
    d->bad = 1;
    return 0.0f;
}

/* ---- uniform codes ---- */

#define SCALES_TRIED 64 /* from the one whose top code is the largest number, down to a quarter of it */
#define TOPS_TRIED 8    /* and some whose top code stays unused */

static int32_t code_of(float x, float scale, int32_t most)
{
    const float c = scale > 0.0f ? nearbyintf(x / scale) : 0.0f;
    return c > (float)most ? most : c < (float)-most ? -most : (int32_t)c;
}

static double error_with(const float *w, size_t count, size_t stride, float scale, int32_t most)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        const double e = (double)w[i * stride] - (double)scale * code_of(w[i * stride], scale, most);
        sum += e * e;
    }
    return sum;
}

static float candidate(float top, int32_t most, int k)
{
    const int32_t code = most - 1 - (k - SCALES_TRIED);
    if (k < SCALES_TRIED) return top / (float)most * (1.0f - 0.75f * (float)k / SCALES_TRIED);
    return top / (float)(code > 1 ? code : 1);
}

/* Numbers that are such codes already come out as they are, also where a scale of few bits (a binary16 subnormal) left
 * the top code unused. Infinity where binary16 cannot hold any candidate. */
static float best_scale(const float *w, size_t count, size_t stride, int32_t most)
{
    float top = 0.0f, best = INFINITY;
    double least = INFINITY;
    for (size_t i = 0; i < count; i++) top = fmaxf(top, fabsf(w[i * stride]));
    for (int k = 0; k < SCALES_TRIED + TOPS_TRIED; k++) {
        const float scale = isgi_half_to_float(isgi_half_from_float(candidate(top, most, k)));
        const double error = error_with(w, count, stride, scale, most);
        if (!(error < least)) continue;
        least = error;
        best = scale;
    }
    return best;
}

void isgi_coder_uniform(isgi_coder *c, isg_method_section section, const float *w, size_t count, size_t stride,
                        uint32_t bits)
{
    const int32_t most = (1 << (bits - 1)) - 1;
    const float scale = isgi_coder_half(c, ISG_SECTION_SCALES, best_scale(w, count, stride, most));
    for (size_t i = 0; i < count; i++)
        isgi_coder_put(c, section, (uint32_t)(code_of(w[i * stride], scale, most) + most), bits);
}

void isgi_decoder_uniform(isgi_decoder *d, float *w, size_t count, size_t stride, uint32_t bits)
{
    const int32_t most = (1 << (bits - 1)) - 1;
    const float scale = isgi_decoder_half(d);
    for (size_t i = 0; i < count; i++) w[i * stride] = scale * (float)((int32_t)isgi_decoder_take(d, bits) - most);
}
