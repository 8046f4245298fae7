/* SPDX-License-Identifier: Apache-2.0 */
/* The text form of the input contract: presets, keys and the line that reads back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset_impl.h"
#include "host/alloc.h"
#include "host/plain_numbers.h"

#define TEXT_MAX 512

static void spec_affine(isg_input_spec *spec, float scale, const float mean[3], const float std[3])
{
    int c;
    spec->identity = 0;
    spec->scale = scale;
    for (c = 0; c < 4; c++) {
        spec->mean[c] = mean[c < 3 ? c : 2];
        spec->std[c] = std[c < 3 ? c : 2];
    }
}

static int spec_preset(isg_input_spec *spec, const char *word)
{
    static const float zero[3] = {0, 0, 0}, one[3] = {1, 1, 1};
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};
    if (!strcmp(word, "raw")) {
        spec_affine(spec, 1.0f, zero, one);
    } else if (!strcmp(word, "unit")) {
        spec_affine(spec, 1.0f / 255.0f, zero, one);
    } else if (!strcmp(word, "torchvision")) {
        spec_affine(spec, 1.0f / 255.0f, mean, std);
    } else if (!strcmp(word, "tf")) {
        spec_affine(spec, 1.0f / 127.5f, one, one);
    } else if (!strcmp(word, "identity")) {
        spec_affine(spec, 1.0f, zero, one);
        spec->identity = 1;
    } else {
        return 0;
    }
    return 1;
}

/* One number for all channels, or one a channel, separated by ':' or '/'. */
static isg_status spec_numbers(float dst[4], int *count, const char *key, const char *text, isg_error *err)
{
    char shown[64];
    const char *p = text;
    int n = 0;
    for (;;) {
        char *end;
        float value = strtof(p, &end);
        if (end == p || !isfinite(value) || n == 4)
            return isgi_fail(err, ISG_E_ARG, "%s: bad number list '%s'", key, isgi_escape(shown, sizeof shown, text));
        dst[n++] = value;
        if (*end == '\0') break;
        if (*end != ':' && *end != '/')
            return isgi_fail(err, ISG_E_ARG, "%s: bad number list '%s'", key, isgi_escape(shown, sizeof shown, text));
        p = end + 1;
    }
    *count = n;
    for (; n < 4; n++) dst[n] = dst[n - 1];
    return ISG_OK;
}

static isg_status spec_side(uint32_t *dst, const char *key, const char *text, isg_error *err)
{
    char *end, shown[64];
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value > ISGI_DATA_MAX_SIDE)
        return isgi_fail(err, ISG_E_ARG, "%s: '%s' is no size in pixels", key, isgi_escape(shown, sizeof shown, text));
    *dst = (uint32_t)value;
    return ISG_OK;
}

static isg_status spec_choice(uint8_t *dst, const char *key, const char *text, const char *zero, const char *one,
                              isg_error *err)
{
    if (strcmp(text, zero) && strcmp(text, one))
        return isgi_fail(err, ISG_E_ARG, "%s must be %s or %s", key, zero, one);
    *dst = !strcmp(text, one);
    return ISG_OK;
}

static isg_status spec_key(isg_input_spec *spec, const char *key, const char *value, isg_error *err)
{
    char shown[64];
    float numbers[4];
    int n = 0, i;
    isg_status status;
    if (!strcmp(key, "order")) return spec_choice(&spec->bgr, key, value, "rgb", "bgr", err);
    if (!strcmp(key, "layout")) return spec_choice(&spec->nhwc, key, value, "nchw", "nhwc", err);
    if (!strcmp(key, "resize")) return spec_side(&spec->resize, key, value, err);
    if (!strcmp(key, "crop")) return spec_side(&spec->crop, key, value, err);
    if (strcmp(key, "scale") && strcmp(key, "mean") && strcmp(key, "std"))
        return isgi_fail(err, ISG_E_ARG, "unknown input key '%s' (scale, mean, std, order, layout, resize, crop)",
                         isgi_escape(shown, sizeof shown, key));
    status = spec_numbers(numbers, &n, key, value, err);
    if (status != ISG_OK) return status;
    if (!strcmp(key, "mean")) {
        memcpy(spec->mean, numbers, sizeof spec->mean);
    } else {
        for (i = 0; i < n; i++)
            if (numbers[i] == 0.0f) return isgi_fail(err, ISG_E_ARG, "%s must not be zero", key);
        if (!strcmp(key, "std")) {
            memcpy(spec->std, numbers, sizeof spec->std);
        } else if (n != 1) {
            return isgi_fail(err, ISG_E_ARG, "scale takes one number");
        } else {
            spec->scale = numbers[0];
        }
    }
    spec->identity = 0;
    return ISG_OK;
}

static isg_status parse_spec(isg_input_spec *spec, const char *text, isg_error *err)
{
    isg_input_spec parsed;
    char copy[TEXT_MAX], shown[64], *word;
    size_t length = text ? strlen(text) : 0;
    if (!spec || !text || length == 0) return isgi_fail(err, ISG_E_ARG, "empty input specification");
    if (length >= sizeof copy) return isgi_fail(err, ISG_E_ARG, "input specification is longer than %d", TEXT_MAX - 1);
    memcpy(copy, text, length + 1);
    memset(&parsed, 0, sizeof parsed);
    if (spec->given && text[strcspn(text, ",=")] == '=') {
        parsed = *spec; /* a key alone changes the contract that is there, such as a file's */
    } else {
        parsed.channels = spec->channels;
        parsed.height = spec->height;
        parsed.width = spec->width;
        spec_preset(&parsed, "raw");
    }
    for (word = copy; word;) {
        char *comma = strchr(word, ','), *equals;
        if (comma) *comma = '\0';
        equals = strchr(word, '=');
        if (equals) {
            isg_status status;
            *equals = '\0';
            status = spec_key(&parsed, word, equals + 1, err);
            if (status != ISG_OK) return status;
        } else if (!spec_preset(&parsed, word)) {
            return isgi_fail(err, ISG_E_ARG, "unknown input preset '%s' (raw, unit, torchvision, tf or KEY=VALUE)",
                             isgi_escape(shown, sizeof shown, word));
        }
        word = comma ? comma + 1 : NULL;
    }
    parsed.given = 1;
    *spec = parsed;
    return ISG_OK;
}

isg_status isg_input_spec_parse(isg_input_spec *spec, const char *text, isg_error *err)
{
    isgi_plain_numbers plain;
    isg_status status;
    isgi_plain_numbers_begin(&plain);
    status = parse_spec(spec, text, err);
    isgi_plain_numbers_end(&plain);
    return status;
}

isg_input_spec isgi_contract_defaults(const isg_input_spec *spec)
{
    isg_input_spec full;
    int c;
    memset(&full, 0, sizeof full);
    if (spec) full = *spec;
    if (full.scale == 0.0f) full.scale = 1.0f;
    for (c = 0; c < 4; c++)
        if (full.std[c] == 0.0f) full.std[c] = 1.0f;
    return full;
}

/* The shortest text that reads back as the same number. */
static const char *format_number(char dst[32], float v)
{
    int digits;
    for (digits = 6; digits < 9; digits++) {
        snprintf(dst, 32, "%.*g", digits, (double)v);
        if (strtof(dst, NULL) == v) return dst;
    }
    snprintf(dst, 32, "%.9g", (double)v);
    return dst;
}

/* Channels from the last that differs on need not be repeated: the reader fills up with the last number. */
static int format_list(char *dst, size_t size, const char *key, const float v[4])
{
    int count = 4, c, n;
    char number[32];
    while (count > 1 && v[count - 1] == v[count - 2]) count--;
    n = snprintf(dst, size, ",%s", key);
    for (c = 0; c < count; c++)
        n += snprintf(dst + n, size - (size_t)n, "%c%s", c ? ':' : '=', format_number(number, v[c]));
    return n;
}

int isg_input_spec_format(char *dst, size_t size, const isg_input_spec *spec)
{
    isg_input_spec full = isgi_contract_defaults(spec);
    char line[TEXT_MAX], number[32];
    isgi_plain_numbers plain;
    size_t n;
    isgi_plain_numbers_begin(&plain);
    if (full.identity) {
        n = (size_t)snprintf(line, sizeof line, "identity");
    } else {
        n = (size_t)snprintf(line, sizeof line, "scale=%s", format_number(number, full.scale));
        n += (size_t)format_list(line + n, sizeof line - n, "mean", full.mean);
        n += (size_t)format_list(line + n, sizeof line - n, "std", full.std);
    }
    isgi_plain_numbers_end(&plain);
    n += (size_t)snprintf(line + n, sizeof line - n, ",order=%s,layout=%s", full.bgr ? "bgr" : "rgb",
                          full.nhwc ? "nhwc" : "nchw");
    if (full.resize) n += (size_t)snprintf(line + n, sizeof line - n, ",resize=%u", full.resize);
    if (full.crop) n += (size_t)snprintf(line + n, sizeof line - n, ",crop=%u", full.crop);
    return snprintf(dst, size, "%s", line);
}
