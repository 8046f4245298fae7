/* SPDX-License-Identifier: Apache-2.0 */
/* Winograd's transforms, a vector of channels at a time. */
#include "train/winograd.h"

#include "train/net.h"

#define MAX_SIDE 9u
/* Channels that a transform handles at once; on every processor these are one or two registers. */
#define LANES 8u

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
/* The same anywhere in memory. */
typedef float loose_lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

/* ---- one-dimensional transforms, a vector of channels at a time ---- */

#define WINOGRAD_INLINE static inline __attribute__((always_inline))
#define load(from) (*(const loose_lanes *)(from))
#define store(to, x) (*(loose_lanes *)(to) = (x))

/* Bt */
WINOGRAD_INLINE void input_unit(lanes o[6], const lanes d[6])
{
    const lanes even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
    const lanes even2 = d[4] - d[2], odd2 = 2.0f * (d[3] - d[1]);
    o[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}

/* B */
WINOGRAD_INLINE void input_gradient_unit(lanes o[6], const lanes d[6])
{
    const lanes sum = d[1] + d[2], difference = d[1] - d[2];
    const lanes sum2 = d[3] + d[4], difference2 = 2.0f * (d[3] - d[4]);
    o[0] = 4.0f * d[0];
    o[1] = 4.0f * (d[5] - difference) - difference2;
    o[2] = -5.0f * d[0] - 4.0f * sum - sum2;
    o[3] = difference + difference2 - 5.0f * d[5];
    o[4] = d[0] + sum + sum2;
    o[5] = d[5];
}

/* At */
WINOGRAD_INLINE void output_unit(lanes o[4], const lanes m[6])
{
    const lanes sum = m[1] + m[2], difference = m[1] - m[2];
    const lanes sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    o[0] = m[0] + sum + sum2;
    o[1] = difference + 2.0f * difference2;
    o[2] = sum + 4.0f * sum2;
    o[3] = difference + 8.0f * difference2 + m[5];
}

/* A */
WINOGRAD_INLINE void output_gradient_unit(lanes o[6], const lanes y[4])
{
    const lanes even = y[0] + y[2], odd = y[1] + y[3];
    const lanes even2 = y[0] + 4.0f * y[2], odd2 = 2.0f * y[1] + 8.0f * y[3];
    o[0] = y[0];
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = y[3];
}

/* G */
WINOGRAD_INLINE void weight_unit(lanes o[6], const lanes w[3])
{
    const lanes even = (w[0] + w[2]) * (-1.0f / 6.0f), odd = w[1] * (-1.0f / 6.0f);
    const lanes even2 = w[0] * (1.0f / 24.0f) + w[2] * (1.0f / 6.0f), odd2 = w[1] * (1.0f / 12.0f);
    o[0] = w[0] * 0.25f;
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = w[2];
}

/* Gt */
WINOGRAD_INLINE void weight_gradient_unit(lanes o[3], const lanes u[6])
{
    const lanes sum = (u[1] + u[2]) * (-1.0f / 6.0f), difference = (u[1] - u[2]) * (-1.0f / 6.0f);
    const lanes sum2 = u[3] + u[4], difference2 = (u[3] - u[4]) * (1.0f / 12.0f);
    o[0] = 0.25f * u[0] + sum + sum2 * (1.0f / 24.0f);
    o[1] = difference + difference2;
    o[2] = sum + sum2 * (1.0f / 6.0f) + u[5];
}

/* The same for stride 2: points 0 to 4 are F(4, 2), 5 to 8 the odd inputs. */
WINOGRAD_INLINE void input_strided(lanes o[9], const lanes d[9])
{
    const lanes cube = d[6] - d[2];
    o[0] = 2.0f * (d[0] - d[4]) + cube;
    o[1] = d[6] - d[4] - 2.0f * d[2];
    o[2] = d[6] - 3.0f * d[4] + 2.0f * d[2];
    o[3] = cube;
    o[4] = d[8] - d[4] - 2.0f * cube;
    o[5] = d[1];
    o[6] = d[3];
    o[7] = d[5];
    o[8] = d[7];
}

WINOGRAD_INLINE void input_gradient_strided(lanes o[9], const lanes v[9])
{
    const lanes cube = v[0] + v[3] - 2.0f * v[4];
    o[0] = 2.0f * v[0];
    o[2] = 2.0f * (v[2] - v[1]) - cube;
    o[4] = -2.0f * v[0] - v[1] - 3.0f * v[2] - v[4];
    o[6] = cube + v[1] + v[2];
    o[8] = v[4];
    o[1] = v[5];
    o[3] = v[6];
    o[5] = v[7];
    o[7] = v[8];
}

WINOGRAD_INLINE void output_strided(lanes o[4], const lanes m[9])
{
    const lanes sum = m[1] + m[2], difference = m[1] - m[2];
    o[0] = m[0] + sum + m[3] + m[5];
    o[1] = difference + 2.0f * m[3] + m[6];
    o[2] = sum + 4.0f * m[3] + m[7];
    o[3] = difference + 8.0f * m[3] + m[4] + m[8];
}

WINOGRAD_INLINE void output_gradient_strided(lanes o[9], const lanes y[4])
{
    const lanes even = y[0] + y[2], odd = y[1] + y[3];
    o[0] = y[0];
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = y[0] + 2.0f * y[1] + 4.0f * y[2] + 8.0f * y[3];
    o[4] = y[3];
    o[5] = y[0];
    o[6] = y[1];
    o[7] = y[2];
    o[8] = y[3];
}

WINOGRAD_INLINE void weight_strided(lanes o[6], const lanes w[3])
{
    o[0] = 0.5f * w[0];
    o[1] = -0.5f * (w[0] + w[2]);
    o[2] = (w[2] - w[0]) * (1.0f / 6.0f);
    o[3] = w[0] * (1.0f / 6.0f) + w[2] * (1.0f / 3.0f);
    o[4] = w[2];
    o[5] = w[1];
}

WINOGRAD_INLINE void weight_gradient_strided(lanes o[3], const lanes u[6])
{
    o[0] = 0.5f * (u[0] - u[1]) + (u[3] - u[2]) * (1.0f / 6.0f);
    o[1] = u[5];
    o[2] = -0.5f * u[1] + u[2] * (1.0f / 6.0f) + u[3] * (1.0f / 3.0f) + u[4];
}

/* Which of the two is known where these are compiled in. */
#define EITHER(side, name, to, from) ((side) == 6 ? name##_unit(to, from) : name##_strided(to, from))

/* ---- tiles ---- */

typedef struct tile_place {
    size_t image;
    int32_t y, x;       /* of the first output */
    int32_t in_y, in_x; /* of the first input; may lie in the padding */
} tile_place;

WINOGRAD_INLINE tile_place place_of(const isgi_winograd *c, uint32_t tile)
{
    const uint32_t t = tile % c->tiles, y = t / c->tiles_x * ISGI_WINOGRAD_TILE,
                   x = t % c->tiles_x * ISGI_WINOGRAD_TILE;
    return (tile_place){tile / c->tiles, (int32_t)y, (int32_t)x, (int32_t)(y * c->stride) - (int32_t)c->pad_top,
                        (int32_t)(x * c->stride) - (int32_t)c->pad_left};
}

/* Where the numbers of a tile at point (i, j) are. */
WINOGRAD_INLINE float *point_at(uint32_t side, const isgi_points *p, uint32_t i, uint32_t j, size_t tile)
{
    const uint32_t ki = i < ISGI_WINOGRAD_KINDS ? i : ISGI_WINOGRAD_KINDS - 1,
                   kj = j < ISGI_WINOGRAD_KINDS ? j : ISGI_WINOGRAD_KINDS - 1;
    const size_t member = (size_t)(i - ki) * isgi_winograd_members(side, kj) + (j - kj);
    return p->data + isgi_winograd_kind_at(side, p, ki, kj) + (member * p->rows + tile) * p->channels;
}

/* V of `count` tiles from x; the first one becomes number `at`. */
WINOGRAD_INLINE void input_body(const isgi_winograd *c, const isgi_points *v, size_t at, const float *x, uint32_t first,
                                uint32_t count, const uint32_t side)
{
    for (uint32_t t = 0; t < count; t++) {
        const tile_place p = place_of(c, first + t);
        const float *image = x + p.image * c->h * c->w * c->ci;
        for (uint32_t k = 0; k < c->ci; k += LANES) {
            lanes rows[MAX_SIDE][MAX_SIDE], line[MAX_SIDE], out[MAX_SIDE];
            for (uint32_t j = 0; j < side; j++) {
                for (uint32_t i = 0; i < side; i++) {
                    const int32_t yy = p.in_y + (int32_t)i, xx = p.in_x + (int32_t)j;
                    if (yy >= 0 && yy < (int32_t)c->h && xx >= 0 && xx < (int32_t)c->w) {
                        const float *from = image + ((size_t)yy * c->w + (size_t)xx) * c->ci + k;
                        /* no hardware follows so many pixels: ask for those of the next tile */
                        __builtin_prefetch(from + ISGI_WINOGRAD_TILE * c->stride * c->ci);
                        line[i] = load(from);
                    } else {
                        line[i] = (lanes){0};
                    }
                }
                EITHER(side, input, out, (const lanes *)line);
                for (uint32_t i = 0; i < side; i++) rows[i][j] = out[i];
            }
            for (uint32_t i = 0; i < side; i++) {
                EITHER(side, input, out, (const lanes *)rows[i]);
                for (uint32_t j = 0; j < side; j++) store(point_at(side, v, i, j, at + t) + k, out[j]);
            }
        }
    }
}

ISGI_CLONES
void isgi_winograd_input(const isgi_winograd *c, const isgi_points *v, size_t at, const float *x, uint32_t first,
                         uint32_t count)
{
    if (c->stride == 1) {
        input_body(c, v, at, x, first, count, 6);
    } else {
        input_body(c, v, at, x, first, count, 9);
    }
}

/* dx += B dV Bt */
WINOGRAD_INLINE void input_gradient_body(const isgi_winograd *c, float *dx, const isgi_points *dv, size_t at,
                                         uint32_t first, uint32_t count, const uint32_t side)
{
    for (uint32_t t = 0; t < count; t++) {
        const tile_place p = place_of(c, first + t);
        float *image = dx + p.image * c->h * c->w * c->ci;
        for (uint32_t k = 0; k < c->ci; k += LANES) {
            lanes rows[MAX_SIDE][MAX_SIDE], line[MAX_SIDE], out[MAX_SIDE];
            for (uint32_t j = 0; j < side; j++) {
                for (uint32_t i = 0; i < side; i++) {
                    const float *from = point_at(side, dv, i, j, at + t) + k;
                    __builtin_prefetch(from + c->ci);
                    line[i] = load(from);
                }
                EITHER(side, input_gradient, out, (const lanes *)line);
                for (uint32_t i = 0; i < side; i++) rows[i][j] = out[i];
            }
            for (int32_t i = 0; i < (int32_t)side; i++) {
                if (p.in_y + i < 0 || p.in_y + i >= (int32_t)c->h) continue;
                EITHER(side, input_gradient, out, (const lanes *)rows[i]);
                for (int32_t j = 0; j < (int32_t)side; j++) {
                    float *to = image + ((ptrdiff_t)(p.in_y + i) * c->w + (p.in_x + j)) * (ptrdiff_t)c->ci + k;
                    if (p.in_x + j < 0 || p.in_x + j >= (int32_t)c->w) continue;
                    store(to, load(to) + out[j]);
                }
            }
        }
    }
}

ISGI_CLONES
void isgi_winograd_input_gradient(const isgi_winograd *c, float *dx, const isgi_points *dv, size_t at, uint32_t first,
                                  uint32_t count)
{
    if (c->stride == 1) {
        input_gradient_body(c, dx, dv, at, first, count, 6);
    } else {
        input_gradient_body(c, dx, dv, at, first, count, 9);
    }
}

/* y = At M A + bias */
WINOGRAD_INLINE void output_body(const isgi_winograd *c, float *y, const isgi_points *m, size_t at, const float *bias,
                                 uint32_t first, uint32_t count, const uint32_t side)
{
    for (uint32_t t = 0; t < count; t++) {
        const tile_place p = place_of(c, first + t);
        float *image = y + p.image * c->out_h * c->out_w * c->co;
        for (uint32_t k = 0; k < c->co; k += LANES) {
            lanes rows[ISGI_WINOGRAD_TILE][MAX_SIDE], line[MAX_SIDE], out[ISGI_WINOGRAD_TILE], start = {0};
            if (bias) start = load(bias + k);
            for (uint32_t j = 0; j < side; j++) {
                for (uint32_t i = 0; i < side; i++) {
                    const float *from = point_at(side, m, i, j, at + t) + k;
                    __builtin_prefetch(from + c->co);
                    line[i] = load(from);
                }
                EITHER(side, output, out, (const lanes *)line);
                for (uint32_t i = 0; i < ISGI_WINOGRAD_TILE; i++) rows[i][j] = out[i];
            }
            for (uint32_t i = 0; i < ISGI_WINOGRAD_TILE && (uint32_t)p.y + i < c->out_h; i++) {
                float *to = image + (((size_t)p.y + i) * c->out_w + (size_t)p.x) * c->co + k;
                EITHER(side, output, out, (const lanes *)rows[i]);
                for (uint32_t j = 0; j < ISGI_WINOGRAD_TILE && (uint32_t)p.x + j < c->out_w; j++) {
                    store(to + (size_t)j * c->co, out[j] + start);
                }
            }
        }
    }
}

ISGI_CLONES
void isgi_winograd_output(const isgi_winograd *c, float *y, const isgi_points *m, size_t at, const float *bias,
                          uint32_t first, uint32_t count)
{
    if (c->stride == 1) {
        output_body(c, y, m, at, bias, first, count, 6);
    } else {
        output_body(c, y, m, at, bias, first, count, 9);
    }
}

/* dM = A dy At; outputs beyond the edge have no gradient */
WINOGRAD_INLINE void output_gradient_body(const isgi_winograd *c, const isgi_points *dm, size_t at, const float *dy,
                                          uint32_t first, uint32_t count, const uint32_t side)
{
    for (uint32_t t = 0; t < count; t++) {
        const tile_place p = place_of(c, first + t);
        const float *image = dy + p.image * c->out_h * c->out_w * c->co;
        for (uint32_t k = 0; k < c->co; k += LANES) {
            lanes rows[MAX_SIDE][ISGI_WINOGRAD_TILE], line[ISGI_WINOGRAD_TILE], out[MAX_SIDE];
            for (uint32_t j = 0; j < ISGI_WINOGRAD_TILE; j++) {
                for (uint32_t i = 0; i < ISGI_WINOGRAD_TILE; i++) {
                    if ((uint32_t)p.y + i < c->out_h && (uint32_t)p.x + j < c->out_w) {
                        const float *from = image + (((size_t)p.y + i) * c->out_w + (size_t)p.x + j) * c->co + k;
                        __builtin_prefetch(from + ISGI_WINOGRAD_TILE * c->co);
                        line[i] = load(from);
                    } else {
                        line[i] = (lanes){0};
                    }
                }
                EITHER(side, output_gradient, out, (const lanes *)line);
                for (uint32_t i = 0; i < side; i++) rows[i][j] = out[i];
            }
            for (uint32_t i = 0; i < side; i++) {
                EITHER(side, output_gradient, out, (const lanes *)rows[i]);
                for (uint32_t j = 0; j < side; j++) store(point_at(side, dm, i, j, at + t) + k, out[j]);
            }
        }
    }
}

ISGI_CLONES
void isgi_winograd_output_gradient(const isgi_winograd *c, const isgi_points *dm, size_t at, const float *dy,
                                   uint32_t first, uint32_t count)
{
    if (c->stride == 1) {
        output_gradient_body(c, dm, at, dy, first, count, 6);
    } else {
        output_gradient_body(c, dm, at, dy, first, count, 9);
    }
}

/* ---- weights ---- */

/* U of `n` x LANES kernels into panels: kernel (a, b + l) of a matrix with `depth` rows a; its tap t is
 * w[(a * row + (b + l) * column) + t * tap]. */
ISGI_CLONES
void isgi_winograd_weights(uint32_t side, float *restrict panels, size_t panel_step, const float *restrict w,
                           size_t depth, size_t width, size_t row, size_t column, size_t tap)
{
    for (size_t a = 0; a < depth; a++) {
        for (size_t b = 0; b < width; b += LANES) {
            float *to = panels + b / ISGK_PANEL * ISGK_PANEL * depth + a * ISGK_PANEL + b % ISGK_PANEL;
            lanes rows[6][3], line[3], out[6];
            for (size_t j = 0; j < 3; j++) {
                for (size_t i = 0; i < 3; i++) {
                    const float *from = w + a * row + b * column + (i * 3 + j) * tap;
                    float apart[LANES];
                    for (size_t l = 0; l < LANES; l++) apart[l] = from[l * column];
                    line[i] = load(apart);
                }
                EITHER(side, weight, out, (const lanes *)line);
                for (size_t i = 0; i < 6; i++) rows[i][j] = out[i];
            }
            for (size_t i = 0; i < 6; i++) {
                EITHER(side, weight, out, (const lanes *)rows[i]);
                for (size_t j = 0; j < 6; j++) store(to + (i * 6 + j) * panel_step, out[j]);
            }
        }
    }
}

/* dw = Gt dU G for `count` kernels from number `first` on; a tap of dw is dw_step floats from the next. */
ISGI_CLONES
void isgi_winograd_weight_gradient(uint32_t side, float *restrict dw, const float *restrict du, size_t du_step,
                                   size_t dw_step, size_t first, size_t count)
{
    du += first;
    for (size_t k = 0; k < count; k += LANES) {
        lanes rows[3][6], line[6], out[3];
        for (size_t j = 0; j < 6; j++) {
            for (size_t i = 0; i < 6; i++) line[i] = load(du + (i * 6 + j) * du_step + k);
            EITHER(side, weight_gradient, out, (const lanes *)line);
            for (size_t i = 0; i < 3; i++) rows[i][j] = out[i];
        }
        for (size_t i = 0; i < 3; i++) {
            EITHER(side, weight_gradient, out, (const lanes *)rows[i]);
            for (size_t j = 0; j < 3; j++) store(dw + (i * 3 + j) * dw_step + k, out[j]);
        }
    }
}
