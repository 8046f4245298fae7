/* SPDX-License-Identifier: Apache-2.0 */
/* NumPy arrays: the header's small grammar, conversion to float32 and labels, writing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/endian.h"
#include "data/dataset_impl.h"
#include "host/alloc.h"

#define NPY_HEADER_MAX 65536u

typedef struct npy_cursor {
    const char *p, *end;
} npy_cursor;

static void npy_space(npy_cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\t')) c->p++;
}

static int npy_char(npy_cursor *c, char wanted)
{
    npy_space(c);
    if (c->p == c->end || *c->p != wanted) return 0;
    c->p++;
    return 1;
}

/* A quoted string without escapes. */
static int npy_string(npy_cursor *c, char *dst, size_t size)
{
    char quote;
    size_t n = 0;
    npy_space(c);
    if (c->p == c->end || (*c->p != '\'' && *c->p != '"')) return 0;
    quote = *c->p++;
    while (c->p < c->end && *c->p != quote) {
        if (n + 1 >= size) return 0;
        dst[n++] = *c->p++;
    }
    if (c->p == c->end) return 0;
    c->p++;
    dst[n] = '\0';
    return 1;
}

static int npy_word(npy_cursor *c, const char *word)
{
    size_t n = strlen(word);
    npy_space(c);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n)) return 0;
    c->p += n;
    return 1;
}

static int npy_number(npy_cursor *c, int64_t *value)
{
    int64_t v = 0;
    const char *start;
    npy_space(c);
    start = c->p;
    while (c->p < c->end && *c->p >= '0' && *c->p <= '9') {
        if (v > (INT64_MAX - 9) / 10) return 0;
        v = v * 10 + (*c->p++ - '0');
    }
    *value = v;
    return c->p > start;
}

static int npy_shape(npy_cursor *c, isgi_npy_view *view)
{
    if (!npy_char(c, '(')) return 0;
    view->rank = 0;
    while (!npy_char(c, ')')) {
        if (view->rank == 8 || !npy_number(c, &view->dims[view->rank])) return 0;
        view->rank++;
        if (!npy_char(c, ',')) {
            if (view->rank == 1) return 0; /* "(5)" is a number, not a tuple */
            return npy_char(c, ')');
        }
    }
    return 1;
}

static int npy_type(isgi_npy_view *view, const char *descr)
{
    static const struct {
        const char *descr;
        isgi_npy_type type;
        uint32_t bytes;
    } types[] = {{"<f4", ISGI_NPY_F4, 4}, {"<f8", ISGI_NPY_F8, 8}, {"|u1", ISGI_NPY_U1, 1},
                 {"|i1", ISGI_NPY_I1, 1}, {"<i4", ISGI_NPY_I4, 4}, {"<i8", ISGI_NPY_I8, 8}};
    size_t i;
    for (i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].descr, descr)) {
            view->type = types[i].type;
            view->element_bytes = types[i].bytes;
            return 1;
        }
    return 0;
}

/* {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } with the keys in any order. */
static isg_status npy_dictionary(isgi_npy_view *view, npy_cursor c, const char *name, isg_error *err)
{
    char key[24], descr[24] = "", shown[100];
    int fortran = -1, shape = 0;
    if (!npy_char(&c, '{')) goto bad;
    while (!npy_char(&c, '}')) {
        if (!npy_string(&c, key, sizeof key) || !npy_char(&c, ':')) goto bad;
        if (!strcmp(key, "descr") && !descr[0]) {
            if (npy_char(&c, '[')) return isgi_fail(err, ISG_E_UNSUPPORTED, "%s: structured element type", name);
            if (!npy_string(&c, descr, sizeof descr)) goto bad;
        } else if (!strcmp(key, "fortran_order") && fortran < 0) {
            fortran = npy_word(&c, "True");
            if (!fortran && !npy_word(&c, "False")) goto bad;
        } else if (!strcmp(key, "shape") && !shape) {
            shape = npy_shape(&c, view);
            if (!shape) goto bad;
        } else {
            goto bad;
        }
        if (!npy_char(&c, ',')) {
            if (!npy_char(&c, '}')) goto bad;
            break;
        }
    }
    npy_space(&c);
    if (c.p != c.end || !descr[0] || fortran < 0 || !shape) goto bad;
    if (!npy_type(view, descr))
        return isgi_fail(err, ISG_E_UNSUPPORTED, "%s: element type '%s' (f4 f8 u1 i1 i4 i8 are read)", name,
                         isgi_escape(shown, sizeof shown, descr));
    if (fortran) return isgi_fail(err, ISG_E_UNSUPPORTED, "%s: array is in Fortran order", name);
    return ISG_OK;
bad:
    return isgi_fail(err, ISG_E_FORMAT, "%s: malformed npy header", name);
}

isg_status isgi_npy_parse(isgi_npy_view *view, const void *bytes, size_t size, const char *path, isg_error *err)
{
    const uint8_t *p = bytes;
    isgi_npy_view v;
    npy_cursor c;
    size_t start, header, rest;
    uint64_t count = 1;
    char name[160];
    int32_t d;
    isg_status status;
    isgi_escape(name, sizeof name, path);
    memset(&v, 0, sizeof v);
    if (size < 10 || memcmp(p, "\x93NUMPY", 6)) return isgi_fail(err, ISG_E_FORMAT, "%s: not an npy file", name);
    if (p[6] < 1 || p[6] > 3) return isgi_fail(err, ISG_E_VERSION, "%s: npy version %u.%u", name, p[6], p[7]);
    start = p[6] == 1 ? 10 : 12;
    if (size < start) return isgi_fail(err, ISG_E_FORMAT, "%s: npy header ends early", name);
    header = p[6] == 1 ? isgi_load_u16(p + 8) : isgi_load_u32(p + 8);
    if (header > size - start || header > NPY_HEADER_MAX)
        return isgi_fail(err, ISG_E_FORMAT, "%s: npy header ends early", name);
    c.p = (const char *)p + start;
    c.end = c.p + header;
    status = npy_dictionary(&v, c, name, err);
    if (status != ISG_OK) return status;
    rest = size - start - header;
    for (d = 0; d < v.rank; d++) {
        if (v.dims[d] != 0 && count > UINT64_MAX / 8 / (uint64_t)v.dims[d])
            return isgi_fail(err, ISG_E_FORMAT, "%s: npy shape is too large", name);
        count *= (uint64_t)v.dims[d];
    }
    if (count * v.element_bytes != rest)
        return isgi_fail(err, ISG_E_FORMAT, "%s: npy shape needs %llu bytes, file holds %llu", name,
                         (unsigned long long)(count * v.element_bytes), (unsigned long long)rest);
    v.count = count;
    v.data = p + start + header;
    *view = v;
    return ISG_OK;
}

static double npy_f64(const uint8_t *p)
{
    uint64_t bits = isgi_load_u64(p);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void isgi_npy_floats(float *dst, const isgi_npy_view *view, uint64_t first, uint64_t count)
{
    const uint8_t *p = view->data + first * view->element_bytes;
    uint64_t i;
    for (i = 0; i < count; i++, p += view->element_bytes) {
        switch (view->type) {
        case ISGI_NPY_F4: dst[i] = isgi_load_f32(p); break;
        case ISGI_NPY_F8: dst[i] = (float)npy_f64(p); break;
        case ISGI_NPY_U1: dst[i] = (float)*p; break;
        case ISGI_NPY_I1: dst[i] = (float)(int8_t)*p; break;
        case ISGI_NPY_I4: dst[i] = (float)(int32_t)isgi_load_u32(p); break;
        case ISGI_NPY_I8: dst[i] = (float)(int64_t)isgi_load_u64(p); break;
        }
    }
}

isg_status isgi_npy_label(int32_t *label, const isgi_npy_view *view, uint64_t index, const char *name, isg_error *err)
{
    const uint8_t *p = view->data + index * view->element_bytes;
    double value = 0.0;
    char shown[160];
    switch (view->type) {
    case ISGI_NPY_F4: value = (double)isgi_load_f32(p); break;
    case ISGI_NPY_F8: value = npy_f64(p); break;
    case ISGI_NPY_U1: value = *p; break;
    case ISGI_NPY_I1: value = (int8_t)*p; break;
    case ISGI_NPY_I4: value = (int32_t)isgi_load_u32(p); break;
    case ISGI_NPY_I8: value = (double)(int64_t)isgi_load_u64(p); break;
    }
    if (!(value >= 0.0 && value <= ISGI_DATA_MAX_LABEL) || value != floor(value))
        return isgi_fail(err, ISG_E_FORMAT, "%s: the label of item %llu is %g, which is no class number",
                         isgi_escape(shown, sizeof shown, name), (unsigned long long)index, value);
    *label = (int32_t)value;
    return ISG_OK;
}

isg_status isg_npy_read(const char *path, float **data, int32_t *rank, int64_t dims[8], isg_error *err)
{
    isg_file file;
    isgi_npy_view view;
    float *values = NULL;
    isg_status status;
    if (!path || !data || !rank || !dims) return isgi_fail(err, ISG_E_ARG, "npy read: missing argument");
    status = isg_file_open(&file, path, err);
    if (status != ISG_OK) return status;
    status = isgi_npy_parse(&view, file.data, file.size, path, err);
    if (status != ISG_OK) goto done;
    values = isgi_calloc((size_t)view.count, sizeof *values);
    if (!values) {
        status = isgi_nomem(err);
        goto done;
    }
    isgi_npy_floats(values, &view, 0, view.count);
    *data = values;
    *rank = view.rank;
    memcpy(dims, view.dims, sizeof view.dims);
done:
    isg_file_close(&file);
    return status;
}

isg_status isg_npy_write(const char *path, const float *data, int32_t rank, const int64_t *dims, isg_error *err)
{
    char text[256];
    uint8_t head[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 0, 0}, block[4096];
    uint64_t count = 1, i;
    size_t n, total;
    int32_t d;
    isg_writer *writer = NULL;
    isg_status status;
    if (!path || !data || rank < 0 || rank > 8 || (rank && !dims))
        return isgi_fail(err, ISG_E_ARG, "npy write: bad argument");
    n = (size_t)snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (d = 0; d < rank; d++) {
        if (dims[d] < 0 || (dims[d] && count > UINT64_MAX / 4 / (uint64_t)dims[d]))
            return isgi_fail(err, ISG_E_ARG, "npy write: bad shape");
        count *= (uint64_t)dims[d];
        n += (size_t)snprintf(text + n, sizeof text - n,
                              d + 1 < rank ? "%lld, "
                              : rank == 1  ? "%lld,"
                                           : "%lld",
                              (long long)dims[d]);
    }
    n += (size_t)snprintf(text + n, sizeof text - n, "), }");
    total = (sizeof head + n + 1 + 63) / 64 * 64; /* the format aligns the data to 64 bytes */
    isgi_store_u16(head + 8, (uint16_t)(total - sizeof head));
    status = isg_writer_open(&writer, path, err);
    if (status != ISG_OK) return status;
    memset(block, ' ', sizeof block);
    memcpy(block, head, sizeof head);
    memcpy(block + sizeof head, text, n);
    block[total - 1] = '\n';
    status = isg_writer_write(writer, block, total, err);
    for (i = 0; status == ISG_OK && i < count;) {
        size_t k, some = count - i < sizeof block / 4 ? (size_t)(count - i) : sizeof block / 4;
        for (k = 0; k < some; k++) isgi_store_f32(block + 4 * k, data[i + k]);
        status = isg_writer_write(writer, block, 4 * some, err);
        i += some;
    }
    if (status != ISG_OK) {
        isg_writer_abort(writer);
        return status;
    }
    return isg_writer_commit(writer, err);
}
