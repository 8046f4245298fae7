/* SPDX-License-Identifier: Apache-2.0 */
/* CIFAR-10 and CIFAR-100 in their binary layout: label bytes, then 3 planes of 32x32. */
#include <stdio.h>
#include <string.h>

#include "data/dataset_impl.h"
#include "host/alloc.h"

#define CIFAR_SIDE 32u
#define CIFAR_PIXELS (CIFAR_SIDE * CIFAR_SIDE)
#define CIFAR_MAX_FILES 5

static const char *const cifar10_names[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                              "dog",      "frog",       "horse", "ship", "truck"};

isg_status isgi_cifar_check(uint64_t *records, const uint8_t *bytes, size_t size, uint32_t label_bytes,
                            uint32_t classes, const char *path, isg_error *err)
{
    size_t record = label_bytes + 3 * CIFAR_PIXELS;
    uint64_t n = size / record, i;
    char name[160];
    isgi_escape(name, sizeof name, path);
    if (size == 0 || size % record)
        return isgi_fail(err, ISG_E_FORMAT, "%s: %llu bytes are no whole number of %u-byte CIFAR-%u records", name,
                         (unsigned long long)size, (unsigned)record, classes);
    for (i = 0; i < n; i++)
        if (bytes[i * record + label_bytes - 1] >= classes)
            return isgi_fail(err, ISG_E_FORMAT, "%s: record %llu has label %u of %u classes", name,
                             (unsigned long long)i, bytes[i * record + label_bytes - 1], classes);
    *records = n;
    return ISG_OK;
}

void isgi_cifar_convert(uint8_t *pixels, int32_t *labels, const uint8_t *bytes, uint64_t records, uint32_t label_bytes)
{
    uint64_t i;
    uint32_t p;
    for (i = 0; i < records; i++) {
        const uint8_t *planes = bytes + label_bytes;
        labels[i] = bytes[label_bytes - 1];
        for (p = 0; p < CIFAR_PIXELS; p++, pixels += 3) {
            pixels[0] = planes[p];
            pixels[1] = planes[p + CIFAR_PIXELS];
            pixels[2] = planes[p + 2 * CIFAR_PIXELS];
        }
        bytes += label_bytes + 3 * CIFAR_PIXELS;
    }
}

static isg_status cifar_files(char *paths[CIFAR_MAX_FILES], int *count, const char *path, uint32_t classes,
                              isg_split split, isg_error *err)
{
    const char *whole = split == ISG_SPLIT_TRAIN ? "train.bin" : "test.bin";
    char batch[32];
    int n;
    *count = 1;
    paths[0] = isgi_data_join(path, whole);
    if (!paths[0]) return isgi_nomem(err);
    if (isgi_data_exists(paths[0]) || classes == 100) return ISG_OK;
    *count = split == ISG_SPLIT_TRAIN ? CIFAR_MAX_FILES : 1;
    for (n = 0; n < *count; n++) {
        snprintf(batch, sizeof batch, "data_batch_%d.bin", n + 1);
        isg_free(paths[n]);
        paths[n] = isgi_data_join(path, split == ISG_SPLIT_TRAIN ? batch : "test_batch.bin");
        if (!paths[n]) return isgi_nomem(err);
    }
    if (!isgi_data_exists(paths[0])) {
        char shown[120];
        return isgi_fail(err, ISG_E_IO, "%s: holds neither %s nor %s", isgi_escape(shown, sizeof shown, path), whole,
                         split == ISG_SPLIT_TRAIN ? "data_batch_1.bin" : "test_batch.bin");
    }
    return ISG_OK;
}

isg_status isgi_cifar_open(isg_dataset *ds, const char *path, uint32_t classes, isg_split split, isg_error *err)
{
    uint32_t label_bytes = classes == 100 ? 2 : 1;
    isg_file files[CIFAR_MAX_FILES];
    uint64_t records[CIFAR_MAX_FILES], total = 0, at = 0;
    char *paths[CIFAR_MAX_FILES] = {NULL};
    int count = 0, opened = 0, i;
    isg_status status = cifar_files(paths, &count, path, classes, split, err);
    for (i = 0; status == ISG_OK && i < count; i++) {
        status = isg_file_open(&files[i], paths[i], err);
        if (status != ISG_OK) break;
        opened++;
        status = isgi_cifar_check(&records[i], files[i].data, files[i].size, label_bytes, classes, paths[i], err);
        if (status == ISG_OK) total += records[i];
    }
    if (status != ISG_OK) goto done;
    ds->pixels = isgi_calloc((size_t)total, (size_t)3 * CIFAR_PIXELS);
    ds->labels = isgi_calloc((size_t)total, sizeof *ds->labels);
    if (!ds->pixels || !ds->labels) {
        status = isgi_nomem(err);
        goto done;
    }
    for (i = 0; i < count; i++) {
        isgi_cifar_convert(ds->pixels + at * 3 * CIFAR_PIXELS, ds->labels + at, files[i].data, records[i], label_bytes);
        at += records[i];
    }
    ds->kind = ISGI_SET_PIXELS;
    ds->count = total;
    ds->channels = 3;
    ds->height = ds->width = CIFAR_SIDE;
    ds->classes = classes;
    if (classes == 10) {
        ds->fixed_names = cifar10_names;
        ds->name_count = 10;
    }
done:
    for (i = 0; i < opened; i++) isg_file_close(&files[i]);
    for (i = 0; i < CIFAR_MAX_FILES; i++) isg_free(paths[i]);
    return status;
}
