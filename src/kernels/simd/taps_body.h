/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of depthwise convolution, pooling and row reductions for any vector (vec_ISA.h): lanes are channels. */
#include "kernels/kernels.h"
#include "kernels/simd/unroll.h"

#define TAPS_INLINE static inline __attribute__((always_inline))
#define TAPS_PIXELS 4u   /* pixels that share a load of weights */
#define DWROW_CHUNK 192u /* channels of rows at a time: pixels come first, so that wide maps are read line by line */
#define DWROW_PIXELS 4
#define DWROW_THREE_PIXELS 8
#define TAPS_CHUNK 128u /* channels at a time, so that the weights of all taps stay in L1 */

typedef struct dwconv_tile {
    float *dst;
    const float *const *taps;
    const float *weights; /* at the tile's first channel */
    size_t ldd, ldw, tap_count;
    size_t channel; /* of the tap rows where the tile begins */
    size_t last;    /* channels in the last vector */
} dwconv_tile;

/* `pixels` x `vectors` accumulators over all taps; all vectors are whole if `full`. */
TAPS_INLINE void dwconv_tile_body(const dwconv_tile *tile, const int pixels, const int vectors, const int full)
{
    const vf_mask mask = vf_first(tile->last);
    const size_t tap_count = tile->tap_count, ldw = tile->ldw, ldd = tile->ldd, channel = tile->channel;
    const float *const *taps = tile->taps;
    const float *weights = tile->weights;
    float *const dst = tile->dst;
    vf acc[TAPS_PIXELS][4];
    ISGI_UNROLL
    for (int p = 0; p < pixels; p++) {
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++) acc[p][v] = vf_set1(0.0f);
    }
    for (size_t t = 0; t < tap_count; t++, weights += ldw) {
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++) {
            const int plain = full || v + 1 < vectors;
            const float *row = weights + (size_t)v * VF_LANES;
            const vf w = plain ? vf_load(row) : vf_load_some(row, mask);
            ISGI_UNROLL
            for (int p = 0; p < pixels; p++) {
                const float *src = taps[(size_t)p * tap_count + t] + channel + (size_t)v * VF_LANES;
                acc[p][v] = vf_fma(plain ? vf_load(src) : vf_load_some(src, mask), w, acc[p][v]);
            }
        }
    }
    ISGI_UNROLL
    for (int p = 0; p < pixels; p++) {
        float *out = dst + (size_t)p * ldd;
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++, out += VF_LANES) {
            if (full || v + 1 < vectors) {
                vf_store(out, acc[p][v]);
            } else {
                vf_store_some(out, mask, acc[p][v]);
            }
        }
    }
}

#define DWCONV_TILE(pixels, vectors, full)                                                                             \
    static __attribute__((noinline)) void dwconv_##pixels##x##vectors##_##full(const dwconv_tile *tile)                \
    {                                                                                                                  \
        dwconv_tile_body(tile, pixels, vectors, full);                                                                 \
    }
DWCONV_TILE(1, 1, 0)
DWCONV_TILE(1, 2, 0)
DWCONV_TILE(4, 1, 0)
DWCONV_TILE(4, 2, 0)
#if VF_TAPS_VECTORS == 2
DWCONV_TILE(1, 2, 1)
DWCONV_TILE(4, 2, 1)
#else
DWCONV_TILE(1, 3, 0)
DWCONV_TILE(1, 4, 0)
DWCONV_TILE(1, 4, 1)
DWCONV_TILE(4, 3, 0)
DWCONV_TILE(4, 4, 0)
DWCONV_TILE(4, 4, 1)
#endif

static void dwconv_run_tile(const dwconv_tile *tile, size_t pixels, size_t vectors)
{
    const int one = pixels == 1, full = tile->last == VF_LANES && vectors == VF_TAPS_VECTORS;
#define DWCONV_RUN(vectors, full) (one ? dwconv_1x##vectors##_##full(tile) : dwconv_4x##vectors##_##full(tile))
    switch (vectors * 2 + (size_t)full) {
    case 2: DWCONV_RUN(1, 0); break;
    case 4: DWCONV_RUN(2, 0); break;
#if VF_TAPS_VECTORS == 2
    case 5: DWCONV_RUN(2, 1); break;
#else
    case 6: DWCONV_RUN(3, 0); break;
    case 8: DWCONV_RUN(4, 0); break;
    case 9: DWCONV_RUN(4, 1); break;
#endif
    default: break;
    }
}

/* Channels c .. end-1 of `pixels` (1 or TAPS_PIXELS) pixels. */
static void dwconv_pixels(dwconv_tile tile, size_t c, size_t end, size_t pixels)
{
    tile.dst += c;
    tile.weights += c;
    tile.channel = c;
    while (tile.channel < end) {
        const size_t left = end - tile.channel, most = VF_TAPS_VECTORS * VF_LANES, count = left < most ? left : most;
        const size_t vectors = (count + VF_LANES - 1) / VF_LANES;
        tile.last = count - (vectors - 1) * VF_LANES;
        dwconv_run_tile(&tile, pixels, vectors);
        tile.dst += count;
        tile.weights += count;
        tile.channel += count;
    }
}

void VF_KERNEL(dwconv_f32)(float *dst, size_t ldd, const float *const *taps, size_t pixels, size_t tap_count,
                           const float *weights, size_t ldw, size_t channels)
{
    for (size_t c = 0; c < channels; c += TAPS_CHUNK) {
        const size_t end = channels - c < TAPS_CHUNK ? channels : c + TAPS_CHUNK;
        for (size_t p = 0; p < pixels;) {
            const dwconv_tile tile = {dst + p * ldd, taps + p * tap_count, weights, ldd, ldw, tap_count, 0, 0};
            const size_t step = pixels - p >= TAPS_PIXELS ? TAPS_PIXELS : 1;
            dwconv_pixels(tile, c, end, step);
            p += step;
        }
    }
}

/* ---- rows of pixels ---- */

typedef struct dwrow_tile {
    const isgk_dwrow *g;
    const isgk_finish *finish;
    float *dst;
    size_t ldd, channel, last; /* first channel; channels in the last vector */
    size_t x, from, to;        /* first pixel; taps kx that its and its neighbours' windows have inside */
} dwrow_tile;

TAPS_INLINE void dwrow_tile_body(const dwrow_tile *tile, const int pixels, const int vectors, const int full)
{
    const isgk_dwrow *g = tile->g;
    const vf_mask mask = vf_first(tile->last);
    const size_t step = g->stride * g->pixel_step, lists = g->lists, ldw = g->ldw, list_step = g->list_step;
    const size_t start = tile->x * g->stride + tile->from * g->dilation - g->left;
    float *const dst = tile->dst;
    vf acc[DWROW_PIXELS][VF_ROW_VECTORS];
    ISGI_UNROLL
    for (int p = 0; p < pixels; p++) {
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++) acc[p][v] = vf_set1(0.0f);
    }
    for (size_t ky = 0; ky < g->kh; ky++) {
        const float *weights = g->weights + (ky * g->kw + tile->from) * lists * ldw + tile->channel;
        const float *tap = g->rows[ky];
        if (!tap) continue;
        tap += start * g->pixel_step + tile->channel;
        for (size_t kx = tile->from; kx < tile->to; kx++, tap += g->dilation * g->pixel_step) {
            const float *src = tap;
            for (size_t i = 0; i < lists; i++, weights += ldw, src += list_step) {
                const float *at = src; /* walks over the pixels: one address in a register, not one for each vector */
                vf w[VF_ROW_VECTORS];
                ISGI_UNROLL
                for (int v = 0; v < vectors; v++) {
                    const float *row = weights + (size_t)v * VF_LANES;
                    w[v] = full || v + 1 < vectors ? vf_load(row) : vf_load_some(row, mask);
                }
                ISGI_UNROLL
                for (int p = 0; p < pixels; p++, at += step) {
                    ISGI_UNROLL
                    for (int v = 0; v < vectors; v++) {
                        const float *x = at + (size_t)v * VF_LANES;
                        acc[p][v] =
                            vf_fma(full || v + 1 < vectors ? vf_load(x) : vf_load_some(x, mask), w[v], acc[p][v]);
                    }
                }
            }
        }
    }
    ISGI_UNROLL
    for (int p = 0; p < pixels; p++) {
        float *out = dst + (size_t)p * tile->ldd;
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++, out += VF_LANES) {
            if (full || v + 1 < vectors) {
                vf_store(out, acc[p][v]);
            } else {
                vf_store_some(out, mask, acc[p][v]);
            }
        }
    }
}

#define DWROW_TILE(name, pixels, vectors, full)                                                                        \
    static __attribute__((noinline)) void dwrow_##name##x##vectors##_##full(const dwrow_tile *tile)                    \
    {                                                                                                                  \
        dwrow_tile_body(tile, pixels, vectors, full);                                                                  \
    }
#define DWROW_TILES(vectors, full)                                                                                     \
    DWROW_TILE(one, 1, vectors, full)                                                                                  \
    DWROW_TILE(all, DWROW_PIXELS, vectors, full)
DWROW_TILES(1, 0)
DWROW_TILES(2, 0)
#if VF_ROW_VECTORS == 3
DWROW_TILES(3, 0)
#if !VF_CHEAP_MASKS
DWROW_TILES(3, 1)
#endif
#else
DWROW_TILES(2, 1)
#endif

static void dwrow_run_tile(const dwrow_tile *tile, size_t pixels, size_t vectors)
{
    const int full = !VF_CHEAP_MASKS && tile->last == VF_LANES && vectors == VF_ROW_VECTORS;
#define DWROW_RUN(vectors, full) (pixels == 1 ? dwrow_onex##vectors##_##full(tile) : dwrow_allx##vectors##_##full(tile))
    switch (vectors * 2 + (size_t)full) {
    case 2: DWROW_RUN(1, 0); break;
    case 4: DWROW_RUN(2, 0); break;
#if VF_ROW_VECTORS == 3
    case 6: DWROW_RUN(3, 0); break;
#if !VF_CHEAP_MASKS
    case 7: DWROW_RUN(3, 1); break;
#endif
#else
    case 5: DWROW_RUN(2, 1); break;
#endif
    default: break;
    }
}

/* Channels begin .. end-1 of `pixels` pixels from tile.x. */
static void dwrow_channels(dwrow_tile tile, size_t begin, size_t end, size_t pixels)
{
    float *const dst = tile.dst + tile.x * tile.ldd;
    for (tile.channel = begin; tile.channel < end;) {
        const size_t left = end - tile.channel, all = (left + VF_LANES - 1) / VF_LANES;
        const size_t vectors = all <= VF_ROW_VECTORS ? all : all == 4 ? 2 : VF_ROW_VECTORS;
        const size_t count = left < vectors * VF_LANES ? left : vectors * VF_LANES;
        tile.last = count - (vectors - 1) * VF_LANES;
        tile.dst = dst + tile.channel;
        dwrow_run_tile(&tile, pixels, vectors);
        tile.channel += count;
    }
}

/* Pixels from .. to-1, which have the same taps kx inside. The last tile overlaps the one before: it writes the same
 * numbers again. */
static void dwrow_pixels(dwrow_tile tile, size_t from, size_t to, size_t begin, size_t end)
{
    const size_t width = to - from >= DWROW_PIXELS ? DWROW_PIXELS : 1;
    for (size_t x = from; x < to; x += width) {
        tile.x = to - x < width ? to - width : x;
        dwrow_channels(tile, begin, end, width);
    }
}

TAPS_INLINE vf dwrow_clamped(vf x, const isgk_finish *finish)
{
    return vf_min(vf_set1(finish->hi), vf_max(vf_set1(finish->lo), x));
}

/* Three taps across side by side: each number is loaded once for all of them. Channels begin .. end-1, at least a
 * vector (the last vector overlaps the one before), of `pixels` pixels from `at` on; the first tap of the first pixel
 * and the last of the last one may lie outside. A pixel's chain is that of every other way. */
TAPS_INLINE void dwrow_three_body(const dwrow_tile *tile, size_t at, size_t begin, size_t end, const int pixels,
                                  const int lists, const int stride)
{
    const isgk_dwrow *g = tile->g;
    const isgk_finish *finish = tile->finish;
    const size_t step = g->pixel_step, ldw = g->ldw, kh = g->kh, ldd = tile->ldd;
    const size_t second = at * (size_t)stride + 1 - g->left; /* column of the first pixel's second tap */
    const int taps = (pixels - 1) * stride + 3, no_first = second == 0, no_last = second + (size_t)taps - 2 >= g->width;
    for (size_t c = begin; c < end; c += VF_LANES) {
        const size_t channel = end - c < VF_LANES ? end - VF_LANES : c;
        float *out = tile->dst + at * ldd + channel;
        vf acc[DWROW_THREE_PIXELS];
        ISGI_UNROLL
        for (int p = 0; p < pixels; p++) acc[p] = vf_set1(0.0f);
        for (size_t ky = 0; ky < kh; ky++) {
            const float *src = g->rows[ky], *row = g->weights + channel + ky * 3 * (size_t)lists * ldw;
            vf w[3][2];
            if (!src) continue;
            src += second * step + channel;
            ISGI_UNROLL
            for (int kx = 0; kx < 3; kx++) {
                ISGI_UNROLL
                for (int i = 0; i < lists; i++, row += ldw) w[kx][i] = vf_load(row);
            }
            ISGI_UNROLL
            for (int q = 0; q < taps; q++) {
                if ((q == 0 && no_first) || (q + 1 == taps && no_last)) continue;
                ISGI_UNROLL
                for (int i = 0; i < lists; i++) {
                    const float *from = q ? src : src - step;
                    const vf v = vf_load(i ? from + g->list_step : from);
                    ISGI_UNROLL
                    for (int kx = 0; kx < 3; kx++) {
                        if (q >= kx && (q - kx) % stride == 0 && (q - kx) / stride < pixels)
                            acc[(q - kx) / stride] = vf_fma(v, w[kx][i], acc[(q - kx) / stride]);
                    }
                }
                if (q) src += step;
            }
        }
        if (finish) {
            const vf bias = finish->bias ? vf_load(finish->bias + channel) : vf_set1(-0.0f);
            const float *residual = finish->residual ? finish->residual + at * finish->ldr + channel : NULL;
            ISGI_UNROLL
            for (int p = 0; p < pixels; p++) acc[p] = vf_add(acc[p], bias);
            if (residual) {
                ISGI_UNROLL
                for (int p = 0; p < pixels; p++, residual += finish->ldr) acc[p] = vf_add(acc[p], vf_load(residual));
            }
            ISGI_UNROLL
            for (int p = 0; p < pixels; p++) acc[p] = dwrow_clamped(acc[p], finish);
        }
        ISGI_UNROLL
        for (int p = 0; p < pixels; p++, out += ldd) vf_store(out, acc[p]);
    }
}

#define DWROW_THREE(pixels, lists, stride)                                                                             \
    static __attribute__((noinline)) void dwrow_three_##pixels##_##lists##_##stride(const dwrow_tile *tile, size_t at, \
                                                                                    size_t begin, size_t end)          \
    {                                                                                                                  \
        dwrow_three_body(tile, at, begin, end, pixels, lists, stride);                                                 \
    }
DWROW_THREE(8, 1, 1)
DWROW_THREE(4, 1, 1)
DWROW_THREE(8, 2, 1)
DWROW_THREE(4, 2, 1)
DWROW_THREE(6, 1, 2)

typedef void dwrow_three_fn(const dwrow_tile *tile, size_t at, size_t begin, size_t end);

/* A tile for rows of three taps of which at most one column is outside on either side, and its pixels; NULL if there is
 * none. */
static dwrow_three_fn *dwrow_find_three(const isgk_dwrow *g, size_t pixels, size_t *width)
{
    if (g->kw != 3 || g->dilation != 1 || g->lists < 1 || g->lists > 2 || g->left > 1) return NULL;
    if (pixels < 4 || (pixels - 1) * g->stride + 2 > g->width + g->left) return NULL;
    *width = g->stride == 2 ? 6 : pixels < 8 ? 4 : 8;
    if (g->stride == 2) return g->lists == 1 && pixels >= 6 ? dwrow_three_6_1_2 : NULL;
    if (g->stride != 1) return NULL;
    if (g->lists == 1) return pixels < 8 ? dwrow_three_4_1_1 : dwrow_three_8_1_1;
    return pixels < 8 ? dwrow_three_4_2_1 : dwrow_three_8_2_1;
}

/* Taps kx of pixel x that lie inside: [from, to). */
static void dwrow_inside(dwrow_tile *tile, size_t x)
{
    const isgk_dwrow *g = tile->g;
    const size_t at = x * g->stride, kw = g->kw, d = g->dilation, end = g->width + g->left;
    tile->from = at < g->left ? (g->left - at + d - 1) / d : 0;
    tile->to = at < end ? (end - at + d - 1) / d : 0;
    if (tile->to > kw) tile->to = kw;
    if (tile->from > tile->to) tile->from = tile->to;
}

/* Any window: pixels whose windows have all their taps inside together, the others one by one. */
static void dwrow_any(dwrow_tile tile, size_t pixels, size_t begin, size_t end)
{
    const isgk_dwrow *g = tile.g;
    /* Pixels inner .. outer-1 have all their taps inside. */
    const size_t reach = (g->kw - 1) * g->dilation + 1, inner = (g->left + g->stride - 1) / g->stride;
    size_t outer = g->width + g->left >= reach ? (g->width + g->left - reach) / g->stride + 1 : 0;
    if (outer > pixels) outer = pixels;
    for (size_t x = 0, to; x < pixels; x = to) {
        to = x >= inner && x < outer ? outer : x + 1;
        dwrow_inside(&tile, x);
        dwrow_pixels(tile, x, to, begin, end);
    }
    for (size_t x = 0; tile.finish && x < pixels; x++) {
        for (size_t c = begin; c < end; c += VF_LANES) {
            const vf_mask mask = vf_first(end - c < VF_LANES ? end - c : VF_LANES);
            const vf bias = tile.finish->bias ? vf_load_some(tile.finish->bias + c, mask) : vf_set1(-0.0f);
            const float *residual = tile.finish->residual;
            float *out = tile.dst + x * tile.ldd + c;
            vf sum = vf_add(vf_load_some(out, mask), bias);
            if (residual) sum = vf_add(sum, vf_load_some(residual + x * tile.finish->ldr + c, mask));
            vf_store_some(out, mask, dwrow_clamped(sum, tile.finish));
        }
    }
}

void VF_KERNEL(dwrow_f32)(float *dst, size_t ldd, const isgk_dwrow *g, size_t pixels, size_t channels,
                          const isgk_finish *finish)
{
    const dwrow_tile tile = {g, finish, dst, ldd, 0, 0, 0, 0, 0};
    size_t width = 0;
    dwrow_three_fn *three = channels >= VF_LANES ? dwrow_find_three(g, pixels, &width) : NULL;
    for (size_t c = 0, end; c < channels; c = end) {
        /* Not so few that a vector is not whole. */
        end = channels - c < DWROW_CHUNK + VF_LANES ? channels : c + DWROW_CHUNK;
        if (!three) dwrow_any(tile, pixels, c, end);
        for (size_t x = 0; three && x < pixels; x += width)
            three(&tile, pixels - x < width ? pixels - width : x, c, end);
    }
}

/* Maximum or sum over the taps that are not NULL, of `count` <= VF_LANES channels from c. */
TAPS_INLINE vf pool_vector(const float *const *taps, size_t tap_count, size_t c, size_t count, const int maximum)
{
    const vf_mask mask = vf_first(count);
    vf acc = vf_set1(maximum ? ISGI_MINUS_INFINITY : 0.0f);
    for (size_t t = 0; t < tap_count; t++) {
        vf x;
        if (!taps[t]) continue;
        x = count == VF_LANES ? vf_load(taps[t] + c) : vf_load_some(taps[t] + c, mask);
        acc = maximum ? vf_max(x, acc) : vf_add(acc, x);
    }
    return acc;
}

TAPS_INLINE void pool_pixel(float *dst, const float *const *taps, size_t tap_count, size_t channels, const float *scale,
                            const int maximum)
{
    size_t c = 0;
    for (; channels - c >= VF_LANES; c += VF_LANES) {
        const vf acc = pool_vector(taps, tap_count, c, VF_LANES, maximum);
        vf_store(dst + c, maximum ? acc : vf_mul(acc, vf_set1(*scale)));
    }
    if (c < channels) {
        const vf acc = pool_vector(taps, tap_count, c, channels - c, maximum);
        vf_store_some(dst + c, vf_first(channels - c), maximum ? acc : vf_mul(acc, vf_set1(*scale)));
    }
}

void VF_KERNEL(maxpool_f32)(float *dst, size_t ldd, const float *const *taps, size_t pixels, size_t tap_count,
                            size_t channels)
{
    for (size_t p = 0; p < pixels; p++) pool_pixel(dst + p * ldd, taps + p * tap_count, tap_count, channels, NULL, 1);
}

void VF_KERNEL(avgpool_f32)(float *dst, size_t ldd, const float *const *taps, size_t pixels, size_t tap_count,
                            size_t channels, const float *scale)
{
    for (size_t p = 0; p < pixels; p++) {
        pool_pixel(dst + p * ldd, taps + p * tap_count, tap_count, channels, scale + p, 0);
    }
}

TAPS_INLINE vf rows_step(vf acc, vf x, const int maximum)
{
    return maximum ? vf_max(x, acc) : vf_add(acc, x);
}

/* Four vectors of channels at a time: as many chains, and whole cache lines of a row. */
TAPS_INLINE void rows_reduce(float *dst, const float *src, size_t lds, size_t rows, size_t channels, const int maximum)
{
    const vf start = vf_set1(maximum ? ISGI_MINUS_INFINITY : 0.0f);
    size_t c = 0;
    for (; channels - c >= 4 * VF_LANES; c += 4 * VF_LANES) {
        vf acc[4] = {start, start, start, start};
        for (size_t r = 0; r < rows; r++) {
            ISGI_UNROLL
            for (int v = 0; v < 4; v++) {
                acc[v] = rows_step(acc[v], vf_load(src + r * lds + c + (size_t)v * VF_LANES), maximum);
            }
        }
        ISGI_UNROLL
        for (int v = 0; v < 4; v++) vf_store(dst + c + (size_t)v * VF_LANES, acc[v]);
    }
    while (c < channels) {
        const size_t count = channels - c < VF_LANES ? channels - c : VF_LANES;
        const vf_mask mask = vf_first(count);
        vf acc = start;
        for (size_t r = 0; r < rows; r++) acc = rows_step(acc, vf_load_some(src + r * lds + c, mask), maximum);
        vf_store_some(dst + c, mask, acc);
        c += count;
    }
}

void VF_KERNEL(rowsum_f32)(float *dst, const float *src, size_t lds, size_t rows, size_t channels)
{
    rows_reduce(dst, src, lds, rows, channels, 0);
}

void VF_KERNEL(rowmax_f32)(float *dst, const float *src, size_t lds, size_t rows, size_t channels)
{
    rows_reduce(dst, src, lds, rows, channels, 1);
}
