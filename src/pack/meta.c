/* SPDX-License-Identifier: Apache-2.0 */
/* META, CLASSES and INPUT (docs/format.md, sections 3 and 4), read without trust. */
#include "pack/meta.h"

#include <insitu/format.h>
#include <math.h>
#include <string.h>

#include "base/endian.h"
#include "base/error.h"
#include "host/alloc.h"

#define VALUE_MAXIMUM 65536u

typedef struct reader {
    const uint8_t *data;
    size_t at, end;
} reader;

/* Unsigned LEB128 below 2^32; 0 on failure of any kind, with `ok` cleared. */
static uint32_t read_number(reader *r, int *ok)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 35 && r->at < r->end; shift += 7) {
        const uint8_t byte = r->data[r->at++];
        value |= (uint64_t)(byte & 127u) << shift;
        if (!(byte & 128u)) {
            if (value > UINT32_MAX) break;
            return (uint32_t)value;
        }
    }
    *ok = 0;
    return 0;
}

static const char *read_text(reader *r, uint32_t maximum, uint32_t *bytes, int *ok)
{
    const uint32_t n = read_number(r, ok);
    const char *text = (const char *)r->data + r->at;
    *bytes = 0;
    if (!*ok || n > maximum || n > r->end - r->at || memchr(text, '\0', n)) {
        *ok = 0;
        return NULL;
    }
    r->at += n;
    *bytes = n;
    return text;
}

isg_status isgi_meta_get(const isg_rt_model *m, const char *key, char **value, isg_error *err)
{
    reader r = {NULL, 0, 0};
    int ok = 1;
    uint32_t count;
    *value = NULL;
    r.data = isg_rt_section(m, ISG_SECTION_META, &r.end);
    if (!r.data) return ISG_OK;
    count = read_number(&r, &ok);
    for (uint32_t i = 0; i < count && ok; i++) {
        uint32_t key_bytes, value_bytes;
        const char *k = read_text(&r, ISG_FORMAT_MAX_NAME, &key_bytes, &ok);
        const char *v = read_text(&r, VALUE_MAXIMUM, &value_bytes, &ok);
        if (!ok || key_bytes != strlen(key) || memcmp(k, key, key_bytes) != 0) continue;
        *value = isgi_strndup(v, value_bytes);
        return *value ? ISG_OK : isgi_nomem(err);
    }
    return ok ? ISG_OK : isgi_fail(err, ISG_E_FORMAT, "the META section is malformed");
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

isg_status isgi_meta_hash(const isg_rt_model *m, uint8_t hash[32], isg_error *err)
{
    char *text;
    memset(hash, 0, 32);
    ISGI_TRY(isgi_meta_get(m, "source_sha256", &text, err));
    if (!text) return ISG_OK;
    for (int i = 0; i < 32; i++) {
        const int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0) {
            isg_free(text);
            return isgi_fail(err, ISG_E_FORMAT, "source_sha256 is not 64 hexadecimal digits");
        }
        hash[i] = (uint8_t)(high << 4 | low);
    }
    isg_free(text);
    return ISG_OK;
}

isg_status isgi_classes_get(const isg_rt_model *m, char ***names, uint32_t *count, isg_error *err)
{
    reader r = {NULL, 0, 0};
    int ok = 1;
    uint32_t n;
    char **list, *text;
    *names = NULL;
    *count = 0;
    r.data = isg_rt_section(m, ISG_SECTION_CLASSES, &r.end);
    if (!r.data) return ISG_OK;
    n = read_number(&r, &ok);
    if (!ok || n > r.end) return isgi_fail(err, ISG_E_FORMAT, "the CLASSES section is malformed");
    /* Every name takes its length's bytes in the section and one for its end here. */
    list = isgi_malloc((size_t)n * sizeof *list + r.end + n + 1);
    if (!list) return isgi_nomem(err);
    text = (char *)(list + n);
    for (uint32_t i = 0; i < n && ok; i++) {
        uint32_t bytes;
        const char *name = read_text(&r, ISG_FORMAT_MAX_NAME, &bytes, &ok);
        if (!ok) break;
        list[i] = text;
        memcpy(text, name, bytes);
        text[bytes] = '\0';
        text += bytes + 1;
    }
    if (!ok || r.at != r.end) {
        isg_free(list);
        return isgi_fail(err, ISG_E_FORMAT, "the CLASSES section is malformed");
    }
    *names = list;
    *count = n;
    return ISG_OK;
}

int isgi_input_fits(const isg_input_spec *s)
{
    int finite = isfinite(s->scale);
    for (int i = 0; i < 4; i++) finite = finite && isfinite(s->mean[i]) && isfinite(s->std[i]);
    return finite && s->bgr <= 1 && s->nhwc <= 1 && s->identity <= 1 && s->channels <= ISG_FORMAT_MAX_DIM &&
           s->height <= ISG_FORMAT_MAX_DIM && s->width <= ISG_FORMAT_MAX_DIM && s->resize <= ISG_FORMAT_MAX_DIM &&
           s->crop <= ISG_FORMAT_MAX_DIM;
}

isg_status isgi_input_get(const isg_rt_model *m, isg_input_spec *spec, int32_t *label_offset, isg_error *err)
{
    size_t bytes;
    const uint8_t *p = isg_rt_section(m, ISG_SECTION_INPUT, &bytes);
    uint32_t offset;
    memset(spec, 0, sizeof *spec);
    *label_offset = 0;
    if (!p) return ISG_OK;
    if (bytes != ISG_FORMAT_INPUT_BYTES) return isgi_fail(err, ISG_E_FORMAT, "the INPUT section has a wrong size");
    spec->channels = isgi_load_u32(p);
    spec->height = isgi_load_u32(p + 4);
    spec->width = isgi_load_u32(p + 8);
    spec->bgr = p[12];
    spec->nhwc = p[13];
    spec->identity = p[14];
    spec->given = 1;
    spec->scale = isgi_load_f32(p + 16);
    for (int i = 0; i < 4; i++) {
        spec->mean[i] = isgi_load_f32(p + 20 + 4 * i);
        spec->std[i] = isgi_load_f32(p + 36 + 4 * i);
    }
    spec->resize = isgi_load_u32(p + 52);
    spec->crop = isgi_load_u32(p + 56);
    offset = isgi_load_u32(p + 60);
    memcpy(label_offset, &offset, sizeof offset);
    if (!isgi_input_fits(spec) || p[15]) {
        return isgi_fail(err, ISG_E_FORMAT, "the INPUT section has a value out of range");
    }
    return ISG_OK;
}
