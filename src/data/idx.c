/* SPDX-License-Identifier: Apache-2.0 */
/* The IDX files of the MNIST family, plain or compressed by gzip. */
#include <string.h>

#include <zlib.h>

#include "data/dataset_impl.h"
#include "host/alloc.h"

#define IDX_HEADER_MAX 20u
#define DEFLATE_MAX_RATIO 1032u /* no deflate stream expands further, so a larger claim is a lie */

static uint32_t load_big_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* `have` bytes of the start of the (uncompressed) file; *header gets the header's length. */
static isg_status idx_header(isgi_idx_view *view, size_t *header, const uint8_t *p, size_t have, const char *name,
                             isg_error *err)
{
    uint32_t d;
    if (have < 8 || p[0] || p[1]) return isgi_fail(err, ISG_E_FORMAT, "%s: not an IDX file", name);
    if (p[2] != 8)
        return isgi_fail(err, ISG_E_UNSUPPORTED, "%s: IDX element type 0x%02x (only bytes are read)", name, p[2]);
    view->rank = p[3];
    if (view->rank < 1 || view->rank > 4) return isgi_fail(err, ISG_E_FORMAT, "%s: IDX rank %u", name, p[3]);
    *header = 4 + 4 * (size_t)view->rank;
    if (have < *header) return isgi_fail(err, ISG_E_FORMAT, "%s: IDX header ends early", name);
    view->count = 1;
    for (d = 0; d < view->rank; d++) {
        view->dims[d] = load_big_u32(p + 4 + 4 * d);
        if (view->dims[d] && view->count > (UINT64_MAX >> 8) / view->dims[d])
            return isgi_fail(err, ISG_E_FORMAT, "%s: IDX shape is too large", name);
        view->count *= view->dims[d];
    }
    return ISG_OK;
}

/* Inflates up to n bytes; *got says how many came. Further gzip members are taken as a continuation. */
static isg_status idx_inflate(z_stream *z, uint8_t *dst, size_t n, size_t *got, const uint8_t **in, size_t *left,
                              const char *name, isg_error *err)
{
    *got = 0;
    while (*got < n) {
        size_t room = n - *got, give = *left;
        int code;
        if (room > 1u << 30) room = 1u << 30;
        if (give > 1u << 30) give = 1u << 30;
        z->next_in = (Bytef *)(uintptr_t)*in;
        z->avail_in = (uInt)give;
        z->next_out = dst + *got;
        z->avail_out = (uInt)room;
        code = inflate(z, Z_NO_FLUSH);
        *in += give - z->avail_in;
        *left -= give - z->avail_in;
        *got += room - z->avail_out;
        if (code == Z_STREAM_END) {
            if (*left == 0) break;
            if (inflateReset(z) != Z_OK) return isgi_fail(err, ISG_E_FORMAT, "%s: damaged gzip data", name);
        } else if (code == Z_MEM_ERROR) {
            return isgi_nomem(err);
        } else if (code != Z_OK) {
            return isgi_fail(err, ISG_E_FORMAT, "%s: %s gzip data", name, *left ? "damaged" : "truncated");
        }
    }
    return ISG_OK;
}

static isg_status idx_gunzip(isgi_idx_view *view, uint8_t **owned, const uint8_t *bytes, size_t size, const char *name,
                             isg_error *err)
{
    z_stream z;
    uint8_t head[IDX_HEADER_MAX], *data = NULL, extra;
    const uint8_t *in = bytes;
    size_t left = size, got, header = 0, early;
    int fits = 0;
    isg_status status;
    memset(&z, 0, sizeof z);
    if (inflateInit2(&z, 15 + 16) != Z_OK) return isgi_nomem(err);
    status = idx_inflate(&z, head, sizeof head, &got, &in, &left, name, err);
    if (status == ISG_OK) status = idx_header(view, &header, head, got, name, err);
    if (status != ISG_OK) goto done;
    early = got - header;
    if (view->count / DEFLATE_MAX_RATIO > size || view->count < early) {
        status = isgi_fail(err, ISG_E_FORMAT, "%s: IDX shape does not match the file's size", name);
        goto done;
    }
    data = isgi_malloc((size_t)view->count);
    if (!data) {
        status = isgi_nomem(err);
        goto done;
    }
    memcpy(data, head + header, early);
    status = idx_inflate(&z, data + early, (size_t)view->count - early, &got, &in, &left, name, err);
    if (status != ISG_OK) goto done;
    if (got == view->count - early) { /* nothing may follow */
        status = idx_inflate(&z, &extra, 1, &got, &in, &left, name, err);
        if (status != ISG_OK) goto done;
        fits = got == 0;
    }
    if (!fits) {
        status = isgi_fail(err, ISG_E_FORMAT, "%s: IDX shape does not match the file's size", name);
        goto done;
    }
    view->data = *owned = data;
    data = NULL;
done:
    isg_free(data);
    inflateEnd(&z);
    return status;
}

isg_status isgi_idx_parse(isgi_idx_view *view, uint8_t **owned, const uint8_t *bytes, size_t size, const char *path,
                          isg_error *err)
{
    isgi_idx_view v;
    char name[160];
    size_t header = 0;
    isg_status status;
    isgi_escape(name, sizeof name, path);
    memset(&v, 0, sizeof v);
    *owned = NULL;
    if (size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) {
        status = idx_gunzip(&v, owned, bytes, size, name, err);
    } else {
        status = idx_header(&v, &header, bytes, size, name, err);
        if (status == ISG_OK && v.count != size - header)
            status = isgi_fail(err, ISG_E_FORMAT, "%s: IDX shape needs %llu bytes, file holds %llu", name,
                               (unsigned long long)v.count, (unsigned long long)(size - header));
        v.data = bytes + header;
    }
    if (status == ISG_OK) *view = v;
    return status;
}

/* The first of the usual names that exists: images-idx3-ubyte or images.idx3-ubyte, with and without .gz. */
static char *idx_find(const char *dir, const char *dashed, const char *dotted)
{
    const char *const names[2] = {dashed, dotted};
    int i;
    for (i = 0; i < 4; i++) {
        char name[64], *path;
        size_t n = strlen(names[i / 2]);
        memcpy(name, names[i / 2], n + 1);
        if (i % 2) memcpy(name + n, ".gz", 4);
        path = isgi_data_join(dir, name);
        if (!path || isgi_data_exists(path)) return path;
        isg_free(path);
    }
    return isgi_data_join(dir, dashed);
}

static isg_status idx_load(isgi_idx_view *view, uint8_t **data, const char *path, uint32_t rank, isg_error *err)
{
    isg_file file;
    char name[160];
    isg_status status;
    if (!path) return isgi_nomem(err);
    status = isg_file_open(&file, path, err);
    if (status != ISG_OK) return status;
    isgi_escape(name, sizeof name, path);
    status = isgi_idx_parse(view, data, file.data, file.size, path, err);
    if (status == ISG_OK && view->rank != rank)
        status = isgi_fail(err, ISG_E_FORMAT, "%s: IDX rank %u, expected %u", name, view->rank, rank);
    if (status == ISG_OK && view->count == 0) status = isgi_fail(err, ISG_E_FORMAT, "%s: no items", name);
    if (status == ISG_OK && !*data) {
        *data = isgi_malloc((size_t)view->count);
        if (*data)
            memcpy(*data, view->data, (size_t)view->count);
        else
            status = isgi_nomem(err);
    }
    view->data = *data;
    isg_file_close(&file);
    return status;
}

isg_status isgi_idx_open(isg_dataset *ds, const char *path, isg_split split, isg_error *err)
{
    int train = split == ISG_SPLIT_TRAIN;
    char *images = train ? idx_find(path, "train-images-idx3-ubyte", "train-images.idx3-ubyte")
                         : idx_find(path, "t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte");
    char *labels = train ? idx_find(path, "train-labels-idx1-ubyte", "train-labels.idx1-ubyte")
                         : idx_find(path, "t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte");
    isgi_idx_view x, y;
    uint8_t *bytes = NULL;
    uint64_t i;
    isg_status status = idx_load(&x, &ds->pixels, images, 3, err);
    if (status == ISG_OK) status = idx_load(&y, &bytes, labels, 1, err);
    if (status != ISG_OK) goto done;
    if (x.dims[0] != y.count) {
        char name[160];
        status = isgi_fail(err, ISG_E_FORMAT, "%s: %llu labels for %u images", isgi_escape(name, sizeof name, labels),
                           (unsigned long long)y.count, x.dims[0]);
        goto done;
    }
    ds->labels = isgi_calloc((size_t)y.count, sizeof *ds->labels);
    if (!ds->labels) {
        status = isgi_nomem(err);
        goto done;
    }
    for (i = 0; i < y.count; i++) {
        ds->labels[i] = bytes[i];
        if (bytes[i] >= ds->classes) ds->classes = bytes[i] + 1u;
    }
    ds->kind = ISGI_SET_PIXELS;
    ds->count = y.count;
    ds->channels = 1;
    ds->height = x.dims[1];
    ds->width = x.dims[2];
done:
    isg_free(bytes);
    isg_free(images);
    isg_free(labels);
    return status;
}
