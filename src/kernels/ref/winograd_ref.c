/* SPDX-License-Identifier: Apache-2.0 */
/* Winograd's transforms in plain C, a channel at a time. */
#include "kernels/kernels.h"
#include "kernels/ref/finish.h"

#define SIDE ISGK_WINOGRAD_SIDE
#define OUTPUTS ISGK_WINOGRAD_OUTPUTS

static void input_line(float o[SIDE], const float d[SIDE])
{
    const float t = d[3] - d[1], s = d[4] - d[2], even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
    o[0] = 4.0f * (d[0] - d[2]) + s;
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = s + 2.0f * t;
    o[4] = s - 2.0f * t;
    o[5] = d[5] - d[3] - 4.0f * t;
}

void isgk_winograd_input_f32__ref(float *points, size_t step, const float *const *pixels, size_t channels)
{
    for (size_t c = 0; c < channels; c++) {
        float half[SIDE][SIDE], in[SIDE], out[SIDE];
        for (size_t y = 0; y < SIDE; y++) {
            for (size_t x = 0; x < SIDE; x++) in[x] = pixels[SIDE * y + x] ? pixels[SIDE * y + x][c] : 0.0f;
            input_line(half[y], in);
        }
        for (size_t x = 0; x < SIDE; x++) {
            for (size_t y = 0; y < SIDE; y++) in[y] = half[y][x];
            input_line(out, in);
            for (size_t y = 0; y < SIDE; y++) points[(SIDE * y + x) * step + c] = out[y];
        }
    }
}

static void weights_line(float o[SIDE], const float w[3])
{
    const float e = (w[0] + w[2]) * (-1.0f / 6.0f), p = w[1] * (-1.0f / 6.0f);
    const float e2 = (w[0] * 0.25f + w[2]) * (1.0f / 6.0f), p2 = w[1] * (1.0f / 12.0f);
    o[0] = w[0] * 0.25f;
    o[1] = e + p;
    o[2] = e - p;
    o[3] = e2 + p2;
    o[4] = e2 - p2;
    o[5] = w[2];
}

void isgk_winograd_weights_f32__ref(float *points, size_t step, const float *taps, size_t tap_step, size_t channels)
{
    for (size_t c = 0; c < channels; c++) {
        float half[3][SIDE], in[3], out[SIDE];
        for (size_t y = 0; y < 3; y++) {
            for (size_t x = 0; x < 3; x++) in[x] = taps[(3 * y + x) * tap_step + c];
            weights_line(half[y], in);
        }
        for (size_t x = 0; x < SIDE; x++) {
            for (size_t y = 0; y < 3; y++) in[y] = half[y][x];
            weights_line(out, in);
            for (size_t y = 0; y < SIDE; y++) points[(SIDE * y + x) * step + c] = out[y];
        }
    }
}

static void output_line(float o[OUTPUTS], const float m[SIDE])
{
    const float s = m[1] + m[2], d = m[1] - m[2], u = m[3] + m[4], v = m[3] - m[4];
    o[0] = m[0] + s + u;
    o[1] = d + 2.0f * v;
    o[2] = s + 4.0f * u;
    o[3] = d + 8.0f * v + m[5];
}

void isgk_winograd_output_f32__ref(float *dst, size_t line, size_t ldd, const float *points, size_t step, size_t rows,
                                   size_t columns, size_t channels, const isgk_finish *finish)
{
    for (size_t c = 0; c < channels; c++) {
        float half[SIDE][OUTPUTS], in[SIDE], out[OUTPUTS];
        for (size_t x = 0; x < SIDE; x++) {
            for (size_t y = 0; y < SIDE; y++) in[y] = points[(SIDE * y + x) * step + c];
            output_line(half[x], in);
        }
        for (size_t y = 0; y < rows; y++) {
            for (size_t x = 0; x < SIDE; x++) in[x] = half[x][y];
            output_line(out, in);
            for (size_t x = 0; x < columns; x++) {
                isgk_finish here = *finish;
                const size_t at = y * line + x * ldd;
                if (here.residual) here.residual += at;
                dst[at + c] = finished(out[x], &here, 0, c);
            }
        }
    }
}
