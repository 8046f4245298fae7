/* SPDX-License-Identifier: Apache-2.0 */
/* KIND:PATH to a dataset, its accessors, and arrays as datasets. */
#include <string.h>
#include <sys/stat.h>

#include "data/dataset_impl.h"
#include "host/alloc.h"

char *isgi_data_join(const char *dir, const char *name)
{
    size_t a = strlen(dir), b = strlen(name);
    char *path = isgi_malloc(a + b + 2);
    if (!path) return NULL;
    memcpy(path, dir, a);
    if (a && dir[a - 1] != '/') path[a++] = '/';
    memcpy(path + a, name, b + 1);
    return path;
}

int isgi_data_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

static isg_status npyset_labels(isg_dataset *ds, const char *path, isg_error *err)
{
    isg_file file;
    isgi_npy_view view;
    uint64_t i;
    char name[160];
    isg_status status = isg_file_open(&file, path, err);
    if (status != ISG_OK) return status;
    status = isgi_npy_parse(&view, file.data, file.size, path, err);
    if (status == ISG_OK && (view.rank < 1 || view.count != ds->count || (uint64_t)view.dims[0] != ds->count))
        status = isgi_fail(err, ISG_E_FORMAT, "%s: not one label for each of the %llu items",
                           isgi_escape(name, sizeof name, path), (unsigned long long)ds->count);
    if (status == ISG_OK) {
        ds->labels = isgi_calloc((size_t)ds->count, sizeof *ds->labels);
        if (!ds->labels) status = isgi_nomem(err);
    }
    for (i = 0; status == ISG_OK && i < ds->count; i++) {
        status = isgi_npy_label(&ds->labels[i], &view, i, path, err);
        if (status == ISG_OK && (uint32_t)ds->labels[i] >= ds->classes) ds->classes = (uint32_t)ds->labels[i] + 1;
    }
    isg_file_close(&file);
    return status;
}

/* [N][C][H][W], [N][H][W] (one channel) or [N][C]. */
static isg_status npyset_shape(isg_dataset *ds, const char *path, isg_error *err)
{
    const isgi_npy_view *v = &ds->view;
    char name[160];
    int d;
    isgi_escape(name, sizeof name, path);
    if (v->rank < 2 || v->rank > 4) return isgi_fail(err, ISG_E_FORMAT, "%s: rank %d, expected 2 to 4", name, v->rank);
    if (v->count == 0) return isgi_fail(err, ISG_E_FORMAT, "%s: no items", name);
    for (d = 1; d < v->rank; d++)
        if (v->dims[d] > INT32_MAX) return isgi_fail(err, ISG_E_FORMAT, "%s: npy shape is too large", name);
    ds->count = (uint64_t)v->dims[0];
    ds->channels = v->rank == 3 ? 1 : (uint32_t)v->dims[1];
    ds->height = v->rank == 2 ? 1 : (uint32_t)v->dims[v->rank - 2];
    ds->width = v->rank == 2 ? 1 : (uint32_t)v->dims[v->rank - 1];
    return ISG_OK;
}

isg_status isgi_npyset_open(isg_dataset *ds, const char *path, isg_error *err)
{
    const char *comma = strchr(path, ',');
    char *x = comma ? isgi_strndup(path, (size_t)(comma - path)) : isgi_strdup(path);
    isg_status status;
    if (!x) return isgi_nomem(err);
    ds->kind = ISGI_SET_NPY;
    status = isg_file_open(&ds->file, x, err);
    if (status != ISG_OK) memset(&ds->file, 0, sizeof ds->file);
    if (status == ISG_OK) status = isgi_npy_parse(&ds->view, ds->file.data, ds->file.size, x, err);
    if (status == ISG_OK) status = npyset_shape(ds, x, err);
    if (status == ISG_OK && comma) status = npyset_labels(ds, comma + 1, err);
    ds->is_float = ds->view.type == ISGI_NPY_F4 || ds->view.type == ISGI_NPY_F8;
    isg_free(x);
    return status;
}

isg_status isg_dataset_open(isg_dataset **out, const char *spec, isg_split split, isg_error *err)
{
    const char *colon = spec ? strchr(spec, ':') : NULL, *path = colon ? colon + 1 : NULL;
    size_t n = colon ? (size_t)(colon - spec) : 0;
    isg_dataset *ds;
    isg_status status;
    if (!out) return isgi_fail(err, ISG_E_ARG, "dataset: missing argument");
    *out = NULL;
    if (!colon || !*path)
        return isgi_fail(err, ISG_E_ARG, "data must be KIND:PATH with KIND cifar10, cifar100, idx, folder or npy");
    ds = isgi_calloc(1, sizeof *ds);
    if (!ds) return isgi_nomem(err);
    ds->name = isgi_strdup(spec);
    if (!ds->name) {
        status = isgi_nomem(err);
    } else if (n == 7 && !memcmp(spec, "cifar10", n)) {
        status = isgi_cifar_open(ds, path, 10, split, err);
    } else if (n == 8 && !memcmp(spec, "cifar100", n)) {
        status = isgi_cifar_open(ds, path, 100, split, err);
    } else if (n == 3 && !memcmp(spec, "idx", n)) {
        status = isgi_idx_open(ds, path, split, err);
    } else if (n == 6 && !memcmp(spec, "folder", n)) {
        status = isgi_folder_open(ds, path, err);
    } else if (n == 3 && !memcmp(spec, "npy", n)) {
        status = isgi_npyset_open(ds, path, err);
    } else {
        char shown[60];
        status = isgi_fail(err, ISG_E_ARG, "unknown kind of data in '%s' (cifar10, cifar100, idx, folder, npy)",
                           isgi_escape(shown, sizeof shown, spec));
    }
    if (status != ISG_OK) {
        isg_dataset_close(ds);
        return status;
    }
    *out = ds;
    return ISG_OK;
}

void isg_dataset_close(isg_dataset *ds)
{
    uint64_t i;
    if (!ds) return;
    if (ds->file.data || ds->file.impl) isg_file_close(&ds->file);
    for (i = 0; ds->paths && i < ds->count; i++) isg_free(ds->paths[i]);
    for (i = 0; ds->names && i < ds->name_count; i++) isg_free(ds->names[i]);
    isg_free(ds->name);
    isg_free(ds->paths);
    isg_free(ds->names);
    isg_free(ds->labels);
    isg_free(ds->pixels);
    isg_free(ds);
}

const char *isg_dataset_name(const isg_dataset *ds)
{
    return ds->name;
}

uint64_t isg_dataset_count(const isg_dataset *ds)
{
    return ds->count;
}

uint32_t isg_dataset_classes(const isg_dataset *ds)
{
    return ds->classes;
}

int isg_dataset_has_labels(const isg_dataset *ds)
{
    return ds->labels != NULL;
}

int32_t isg_dataset_label(const isg_dataset *ds, uint64_t index)
{
    return ds->labels && index < ds->count ? ds->labels[index] : -1;
}

const char *isg_dataset_class_name(const isg_dataset *ds, uint32_t label)
{
    if (label >= ds->name_count) return NULL;
    return ds->names ? ds->names[label] : ds->fixed_names[label];
}

void isg_dataset_shape(const isg_dataset *ds, uint32_t *channels, uint32_t *height, uint32_t *width, int *is_float)
{
    if (channels) *channels = ds->channels;
    if (height) *height = ds->height;
    if (width) *width = ds->width;
    if (is_float) *is_float = ds->is_float;
}

const uint8_t *isg_dataset_pixels(const isg_dataset *ds, uint64_t index)
{
    if (!ds->pixels || index >= ds->count) return NULL;
    return ds->pixels + (size_t)index * ds->channels * ds->height * ds->width;
}

/* Arrays come in the network's own layout already; only the affine part of the contract applies. */
static isg_status npyset_load(const isg_dataset *ds, uint64_t index, const isg_input_spec *spec, float *dst,
                              isg_error *err)
{
    const uint64_t plane = (uint64_t)ds->height * ds->width, item = plane * ds->channels;
    /* what the contract leaves open is the array's own */
    const uint32_t channels = spec->channels ? spec->channels : spec->nhwc ? ds->width : ds->channels;
    const uint32_t height = spec->height ? spec->height : spec->nhwc ? ds->channels : ds->height;
    const uint32_t width = spec->width ? spec->width : spec->nhwc ? ds->height : ds->width;
    uint64_t i;
    if ((uint64_t)channels * height != item / width || item % width)
        return isgi_fail(
            err, ISG_E_SHAPE,
            "array items have %llu numbers, the network takes %ux%ux%u (arrays are not resized or cropped)",
            (unsigned long long)item, channels, height, width);
    isgi_npy_floats(dst, &ds->view, index * item, item);
    if (spec->identity) return ISG_OK;
    for (i = 0; i < item; i++) {
        uint64_t c = spec->nhwc ? i % ds->width : i / plane; /* channels last: the last dimension counts them */
        dst[i] = (dst[i] * spec->scale - spec->mean[c < 3 ? c : 3]) / spec->std[c < 3 ? c : 3];
    }
    return ISG_OK;
}

/* The caller sized dst from the contract, or from the set when the contract leaves the size open: hold images to it. */
static isg_status dataset_fix_size(isg_input_spec *spec, const isg_dataset *ds, const char *name, isg_error *err)
{
    if (spec->crop || (spec->height && spec->width)) return ISG_OK;
    if (spec->resize || !ds->height) return isgi_fail(err, ISG_E_ARG, "%s: the size of the input is not set", name);
    spec->height = ds->height;
    spec->width = ds->width;
    return ISG_OK;
}

isg_status isg_dataset_load(const isg_dataset *ds, uint64_t index, const isg_input_spec *given, float *dst,
                            isg_error *err)
{
    isg_input_spec spec = isgi_contract_defaults(given);
    uint8_t *pixels = NULL;
    uint32_t width, height;
    char name[120];
    isg_status status;
    if (!ds || !dst || index >= ds->count) return isgi_fail(err, ISG_E_ARG, "dataset load: bad argument");
    if (ds->kind == ISGI_SET_NPY) return npyset_load(ds, index, &spec, dst, err);
    isgi_escape(name, sizeof name, ds->paths ? ds->paths[index] : "image");
    status = dataset_fix_size(&spec, ds, name, err);
    if (status != ISG_OK) return status;
    if (ds->kind == ISGI_SET_PIXELS)
        return isgi_contract_pixels(dst, isg_dataset_pixels(ds, index), ds->channels, ds->height, ds->width, &spec,
                                    name, err);
    status = isgi_image_file(ds->paths[index], &pixels, &width, &height, err);
    if (status != ISG_OK) return status;
    status = isgi_contract_pixels(dst, pixels, 3, height, width, &spec, name, err);
    isg_free(pixels);
    return status;
}
