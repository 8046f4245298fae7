/* SPDX-License-Identifier: Apache-2.0 */
/* Datasets, single images and arrays, and the input contract that turns them into network inputs. */
#ifndef INSITU_DATA_H
#define INSITU_DATA_H

#include <insitu/memory.h>
#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The input contract: how stored pixels become the float input. value = (pixel * scale - mean[c]) / std[c], pixel
 * 0..255, applied after resize (shorter side to `resize`, bilinear with antialias, 0: none) and centre crop (crop x
 * crop, 0: none). Tensors of npy: are already in the network's layout: only scale, mean and std apply to them, and
 * nothing when `identity` is set. scale 0 and std 0 stand for 1, so that a zeroed contract is "raw". */
typedef struct isg_input_spec {
    uint32_t channels, height, width; /* what the network takes; 0: take what the data have */
    uint8_t bgr;                      /* channel order: 0 RGB, 1 BGR */
    uint8_t nhwc;                     /* layout of the network's input: 0 NCHW, 1 NHWC */
    uint8_t identity;                 /* no scaling at all */
    uint8_t given; /* set once the user or the file said so; 8-bit data into an unspecified input is refused */
    float scale, mean[4], std[4];
    uint32_t resize, crop;
} isg_input_spec;

/* "raw|unit|torchvision|tf|identity|KEY=VALUE,..." (docs/cli.md, Files, data, input), presets and keys combinable by
 * commas, later ones win; keys scale, mean, std (numbers separated by ':' or '/'), order=rgb|bgr, layout=nchw|nhwc,
 * resize, crop. A text that begins with a preset replaces all of *spec but channels, height and width; one that begins
 * with a key changes what `given` says is there, or "raw". Error: ARG, and *spec stays. */
ISG_NODISCARD isg_status isg_input_spec_parse(isg_input_spec *spec, const char *text, isg_error *err);
/* One line that isg_input_spec_parse() reads back; returns the length as snprintf does. */
int isg_input_spec_format(char *dst, size_t size, const isg_input_spec *spec);

typedef struct isg_dataset isg_dataset;
typedef enum isg_split { ISG_SPLIT_TEST = 0, ISG_SPLIT_TRAIN = 1 } isg_split;

/* spec is KIND:PATH: cifar10: cifar100: idx: folder: npy:X.npy,Y.npy (or npy:X.npy without labels).
 * folder: and npy: have one set for both splits. folder: is sorted by name; its folders are all numbers (the label
 * itself) or all words (label = place in the order). npy: items are [C][H][W], [H][W] or [C]. Sizes, labels and magic
 * numbers are checked before anything is allocated from them. Errors: ARG, IO, FORMAT, LIMIT. */
ISG_NODISCARD isg_status isg_dataset_open(isg_dataset **out, const char *spec, isg_split split, isg_error *err);
void isg_dataset_close(isg_dataset *ds);
const char *isg_dataset_name(const isg_dataset *ds); /* the KIND:PATH it was opened by, for messages */
uint64_t isg_dataset_count(const isg_dataset *ds);
uint32_t isg_dataset_classes(const isg_dataset *ds); /* largest label + 1, or the kind's own number */
int isg_dataset_has_labels(const isg_dataset *ds);
int32_t isg_dataset_label(const isg_dataset *ds, uint64_t index);
const char *isg_dataset_class_name(const isg_dataset *ds, uint32_t label); /* NULL if unknown */
/* Natural size; folder: gives 0x0 when images differ. is_float: npy of floats. */
void isg_dataset_shape(const isg_dataset *ds, uint32_t *channels, uint32_t *height, uint32_t *width, int *is_float);
/* Item `index` through the contract (NULL: raw) into dst (channels*height*width floats, layout of spec; where spec has
 * zeros the set's own, but crop x crop where it crops and leaves the size open). Colour becomes grey and grey colour as
 * channels asks. Thread-safe.
 * Errors: ARG, SHAPE (the contract does not give the network's size), IO, FORMAT. */
ISG_NODISCARD isg_status isg_dataset_load(const isg_dataset *ds, uint64_t index, const isg_input_spec *spec, float *dst,
                                          isg_error *err);
/* Raw 8-bit HWC pixels of item `index` (kinds with a fixed size only: cifar, idx). Borrowed or NULL. */
const uint8_t *isg_dataset_pixels(const isg_dataset *ds, uint64_t index);

/* One JPEG or PNG file through the contract. */
ISG_NODISCARD isg_status isg_image_load(const char *path, const isg_input_spec *spec, float *dst, isg_error *err);
/* The same from memory: decoded 8-bit RGB, *pixels to be freed with isg_free(). max_pixels caps the allocation;
 * 0: no image at all fits. */
ISG_NODISCARD isg_status isg_image_decode(const void *bytes, size_t size, uint64_t max_pixels, uint8_t **pixels,
                                          uint32_t *width, uint32_t *height, isg_error *err);

/* NumPy arrays, version 1.0 to 3.0, C order, little-endian f4 f8 u1 i1 i4 i8; read as float32 (*data to be
 * freed with isg_free()), written as float32. */
ISG_NODISCARD isg_status isg_npy_read(const char *path, float **data, int32_t *rank, int64_t dims[8], isg_error *err);
ISG_NODISCARD isg_status isg_npy_write(const char *path, const float *data, int32_t rank, const int64_t *dims,
                                       isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
