/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of src/data: the dataset object, the parsers that work on bytes in memory, and the input contract. */
#ifndef INSITU_DATA_DATASET_IMPL_H
#define INSITU_DATA_DATASET_IMPL_H

#include <insitu/data.h>
#include <insitu/host.h>

#define ISGI_DATA_MAX_LABEL 16777215 /* labels are used to size tables of classes */
#define ISGI_DATA_MAX_PIXELS (1ull << 27)
#define ISGI_DATA_MAX_SIDE 65536u

typedef enum isgi_npy_type {
    ISGI_NPY_F4,
    ISGI_NPY_F8,
    ISGI_NPY_U1,
    ISGI_NPY_I1,
    ISGI_NPY_I4,
    ISGI_NPY_I8
} isgi_npy_type;

/* A checked .npy array in memory; data points behind the header and holds exactly count elements. */
typedef struct isgi_npy_view {
    isgi_npy_type type;
    uint32_t element_bytes;
    int32_t rank;
    int64_t dims[8];
    uint64_t count;
    const uint8_t *data;
} isgi_npy_view;

/* `name` is for messages. Errors: FORMAT, UNSUPPORTED (Fortran order, other types). */
isg_status isgi_npy_parse(isgi_npy_view *view, const void *bytes, size_t size, const char *name, isg_error *err);
/* Elements first .. first+count-1 as float32. */
void isgi_npy_floats(float *dst, const isgi_npy_view *view, uint64_t first, uint64_t count);
/* Element as an integer label; FORMAT when it is no integer in 0..ISGI_DATA_MAX_LABEL. */
isg_status isgi_npy_label(int32_t *label, const isgi_npy_view *view, uint64_t index, const char *name, isg_error *err);

/* CIFAR records (label_bytes then 3x32x32 planes) to HWC pixels and labels; the last label byte counts. */
isg_status isgi_cifar_check(uint64_t *records, const uint8_t *bytes, size_t size, uint32_t label_bytes,
                            uint32_t classes, const char *name, isg_error *err);
void isgi_cifar_convert(uint8_t *pixels, int32_t *labels, const uint8_t *bytes, uint64_t records, uint32_t label_bytes);

/* An IDX array of unsigned bytes. Plain bytes are borrowed (*owned NULL), gzip is inflated into *owned (isg_free). */
typedef struct isgi_idx_view {
    uint32_t rank, dims[4];
    uint64_t count;
    const uint8_t *data;
} isgi_idx_view;
isg_status isgi_idx_parse(isgi_idx_view *view, uint8_t **owned, const uint8_t *bytes, size_t size, const char *name,
                          isg_error *err);

typedef enum isgi_dataset_kind { ISGI_SET_PIXELS, ISGI_SET_FILES, ISGI_SET_NPY } isgi_dataset_kind;

struct isg_dataset {
    isgi_dataset_kind kind;
    char *name; /* KIND:PATH; owned */
    uint64_t count;
    uint32_t channels, height, width; /* natural; height and width 0: differ */
    uint32_t classes;
    int is_float;
    int32_t *labels; /* [count] or NULL */
    uint8_t *pixels; /* PIXELS: [count][height][width][channels] */
    char **paths;    /* FILES: [count] */
    char **names;    /* owned class names, [name_count] */
    const char *const *fixed_names;
    uint32_t name_count;
    isg_file file; /* NPY */
    isgi_npy_view view;
};

/* Each fills a zeroed *ds; the caller closes it on failure. */
isg_status isgi_cifar_open(isg_dataset *ds, const char *path, uint32_t classes, isg_split split, isg_error *err);
isg_status isgi_idx_open(isg_dataset *ds, const char *path, isg_split split, isg_error *err);
isg_status isgi_folder_open(isg_dataset *ds, const char *path, isg_error *err);
isg_status isgi_npyset_open(isg_dataset *ds, const char *path, isg_error *err);

/* "dir/name", owned. */
char *isgi_data_join(const char *dir, const char *name);
int isgi_data_exists(const char *path);

/* Decodes a JPEG or PNG file to RGB. */
isg_status isgi_image_file(const char *path, uint8_t **pixels, uint32_t *width, uint32_t *height, isg_error *err);
/* Size from the header alone; 0 if the bytes are no image we read. */
int isgi_image_probe(const void *bytes, size_t size, uint32_t *width, uint32_t *height);

/* Pixels [height][width][channels] (1 or 3 channels) through the contract into dst. */
isg_status isgi_contract_pixels(float *dst, const uint8_t *pixels, uint32_t channels, uint32_t height, uint32_t width,
                                const isg_input_spec *spec, const char *name, isg_error *err);
/* Bilinear with antialias (triangle filter of the source's pixel pitch), 8-bit in and out, owned result. */
isg_status isgi_resize_pixels(uint8_t **out, const uint8_t *pixels, uint32_t channels, uint32_t height, uint32_t width,
                              uint32_t new_height, uint32_t new_width, isg_error *err);
/* scale, mean and std with 0 standing for "not set" replaced by 1, 0 and 1. */
isg_input_spec isgi_contract_defaults(const isg_input_spec *spec);

#endif
