/* SPDX-License-Identifier: Apache-2.0 */
/* The input contract applied to 8-bit pixels: resize, centre crop, channels, order, scale, mean and std. */
#include <math.h>
#include <string.h>

#include "data/dataset_impl.h"
#include "host/alloc.h"

/* Taps of one output position along one axis: source indices first .. first+count-1. */
typedef struct resize_axis {
    uint32_t *first, *count;
    float *weight; /* [out][width] */
    uint32_t width;
} resize_axis;

static void resize_axis_clear(resize_axis *axis)
{
    isg_free(axis->first);
    isg_free(axis->count);
    isg_free(axis->weight);
}

/* The triangle filter is widened by the reduction factor, so that every source pixel counts (antialias). */
static isg_status resize_axis_init(resize_axis *axis, uint32_t in, uint32_t out, isg_error *err)
{
    double ratio = (double)in / out, stretch = ratio < 1.0 ? 1.0 : ratio;
    uint32_t o;
    axis->width = (uint32_t)ceil(stretch) * 2 + 1;
    axis->first = isgi_calloc(out, sizeof *axis->first);
    axis->count = isgi_calloc(out, sizeof *axis->count);
    axis->weight = isgi_calloc((size_t)out * axis->width, sizeof *axis->weight);
    if (!axis->first || !axis->count || !axis->weight) return isgi_nomem(err);
    for (o = 0; o < out; o++) {
        double centre = (o + 0.5) * ratio, sum = 0.0;
        double low = centre - stretch + 0.5, high = centre + stretch + 0.5;
        uint32_t first = low > 0 ? (uint32_t)low : 0, end = high < in ? (uint32_t)high : in, k;
        float *w = axis->weight + (size_t)o * axis->width;
        if (end - first > axis->width) end = first + axis->width;
        for (k = first; k < end; k++) {
            double x = fabs((k + 0.5 - centre) / stretch);
            w[k - first] = (float)(x < 1.0 ? 1.0 - x : 0.0);
            sum += w[k - first];
        }
        for (k = first; k < end; k++) w[k - first] = (float)(w[k - first] / sum);
        axis->first[o] = first;
        axis->count[o] = end - first;
    }
    return ISG_OK;
}

static uint8_t resize_round(float v)
{
    v += 0.5f;
    if (v <= 0.0f) return 0;
    return v >= 255.0f ? 255 : (uint8_t)v;
}

static void resize_rows(uint8_t *dst, const uint8_t *src, const resize_axis *x, uint32_t channels, uint32_t height,
                        uint32_t width, uint32_t new_width)
{
    uint32_t row, o, c, k;
    for (row = 0; row < height; row++) {
        const uint8_t *line = src + (size_t)row * width * channels;
        for (o = 0; o < new_width; o++) {
            const float *w = x->weight + (size_t)o * x->width;
            for (c = 0; c < channels; c++) {
                const uint8_t *p = line + (size_t)x->first[o] * channels + c;
                float sum = 0.0f;
                for (k = 0; k < x->count[o]; k++) sum += w[k] * p[(size_t)k * channels];
                *dst++ = resize_round(sum);
            }
        }
    }
}

static void resize_columns(uint8_t *dst, const uint8_t *src, const resize_axis *y, uint32_t new_height, size_t line)
{
    uint32_t o, k;
    size_t i;
    for (o = 0; o < new_height; o++) {
        const float *w = y->weight + (size_t)o * y->width;
        const uint8_t *p = src + (size_t)y->first[o] * line;
        for (i = 0; i < line; i++) {
            float sum = 0.0f;
            for (k = 0; k < y->count[o]; k++) sum += w[k] * p[(size_t)k * line + i];
            *dst++ = resize_round(sum);
        }
    }
}

isg_status isgi_resize_pixels(uint8_t **out, const uint8_t *pixels, uint32_t channels, uint32_t height, uint32_t width,
                              uint32_t new_height, uint32_t new_width, isg_error *err)
{
    resize_axis x = {0}, y = {0};
    uint8_t *wide = NULL, *done_pixels = NULL;
    isg_status status = resize_axis_init(&x, width, new_width, err);
    if (status == ISG_OK) status = resize_axis_init(&y, height, new_height, err);
    if (status != ISG_OK) goto done;
    wide = isgi_calloc((size_t)height * new_width, channels);
    done_pixels = isgi_calloc((size_t)new_height * new_width, channels);
    if (!wide || !done_pixels) {
        status = isgi_nomem(err);
        goto done;
    }
    resize_rows(wide, pixels, &x, channels, height, width, new_width);
    resize_columns(done_pixels, wide, &y, new_height, (size_t)new_width * channels);
    *out = done_pixels;
    done_pixels = NULL;
done:
    isg_free(done_pixels);
    isg_free(wide);
    resize_axis_clear(&x);
    resize_axis_clear(&y);
    return status;
}

/* Half of an even or odd rest, ties to even, as torchvision's CenterCrop rounds. */
static uint32_t crop_start(uint32_t size, uint32_t crop)
{
    uint32_t rest = size - crop, half = rest / 2;
    return rest % 2 && half % 2 ? half + 1 : half;
}

/* ITU-R 601 luma in 16-bit fixed point. */
static uint8_t pixel_luma(const uint8_t *rgb)
{
    return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

typedef struct crop_window {
    const uint8_t *pixels; /* first pixel of the window */
    size_t line;           /* bytes between rows */
    uint32_t channels, height, width;
} crop_window;

static void contract_write(float *dst, const crop_window *in, uint32_t channels, const isg_input_spec *spec)
{
    size_t plane = (size_t)in->height * in->width;
    uint32_t c, y, x;
    for (c = 0; c < channels; c++) {
        uint32_t source = spec->bgr && channels == 3 ? 2 - c : c;
        float mean = spec->mean[c], std = spec->std[c];
        for (y = 0; y < in->height; y++) {
            const uint8_t *p = in->pixels + y * in->line;
            float *q =
                spec->nhwc ? dst + (size_t)y * in->width * channels + c : dst + c * plane + (size_t)y * in->width;
            size_t step = spec->nhwc ? channels : 1;
            for (x = 0; x < in->width; x++, p += in->channels, q += step) {
                uint8_t v = in->channels == channels ? p[source] : in->channels == 1 ? p[0] : pixel_luma(p);
                *q = spec->identity ? (float)v : ((float)v * spec->scale - mean) / std;
            }
        }
    }
}

static isg_status contract_resize(uint8_t **resized, uint32_t *height, uint32_t *width, const uint8_t *pixels,
                                  uint32_t channels, uint32_t shorter, const char *name, isg_error *err)
{
    uint64_t h = *height, w = *width;
    uint64_t new_h = h <= w ? shorter : shorter * h / w, new_w = h <= w ? shorter * w / h : shorter;
    isg_status status;
    if (new_h * new_w > ISGI_DATA_MAX_PIXELS)
        return isgi_fail(err, ISG_E_LIMIT, "%s: resize to %u makes %llux%llu pixels", name, shorter,
                         (unsigned long long)new_w, (unsigned long long)new_h);
    if (new_h == h && new_w == w) return ISG_OK;
    status = isgi_resize_pixels(resized, pixels, channels, *height, *width, (uint32_t)new_h, (uint32_t)new_w, err);
    if (status != ISG_OK) return status;
    *height = (uint32_t)new_h;
    *width = (uint32_t)new_w;
    return ISG_OK;
}

isg_status isgi_contract_pixels(float *dst, const uint8_t *pixels, uint32_t channels, uint32_t height, uint32_t width,
                                const isg_input_spec *given, const char *name, isg_error *err)
{
    isg_input_spec spec = isgi_contract_defaults(given);
    uint32_t out_channels = spec.channels ? spec.channels : channels;
    uint8_t *resized = NULL;
    crop_window window;
    isg_status status = ISG_OK;
    if (out_channels != channels && !(out_channels == 3 && channels == 1) && !(out_channels == 1 && channels == 3))
        return isgi_fail(err, ISG_E_SHAPE, "%s: %u channels, the network takes %u", name, channels, out_channels);
    if (out_channels > 4) return isgi_fail(err, ISG_E_SHAPE, "%s: more than 4 channels", name);
    if (spec.resize) {
        status = contract_resize(&resized, &height, &width, pixels, channels, spec.resize, name, err);
        if (status != ISG_OK) goto done;
    }
    window.pixels = resized ? resized : pixels;
    window.line = (size_t)width * channels;
    window.channels = channels;
    window.height = height;
    window.width = width;
    if (spec.crop) {
        if (spec.crop > height || spec.crop > width) {
            status = isgi_fail(err, ISG_E_SHAPE, "%s: %ux%u is smaller than crop=%u", name, width, height, spec.crop);
            goto done;
        }
        window.pixels += crop_start(height, spec.crop) * window.line + (size_t)crop_start(width, spec.crop) * channels;
        window.height = window.width = spec.crop;
    }
    if ((spec.height && spec.height != window.height) || (spec.width && spec.width != window.width)) {
        status = isgi_fail(err, ISG_E_SHAPE, "%s: gives %ux%u, the network takes %ux%u (use resize= and crop=)", name,
                           window.width, window.height, spec.width, spec.height);
        goto done;
    }
    contract_write(dst, &window, out_channels, &spec);
done:
    isg_free(resized);
    return status;
}
