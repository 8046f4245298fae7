/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the sections of an image that the runtime does not look into: META, CLASSES, INPUT. */
#ifndef INSITU_PACK_META_H
#define INSITU_PACK_META_H

#include <insitu/pack.h>

/* A copy of the value of `key` (free with isg_free()), NULL if there is none. Errors: FORMAT, NOMEM. */
ISG_NODISCARD isg_status isgi_meta_get(const isg_rt_model *m, const char *key, char **value, isg_error *err);
/* The hash under source_sha256, zero if there is none. */
ISG_NODISCARD isg_status isgi_meta_hash(const isg_rt_model *m, uint8_t hash[32], isg_error *err);
/* Copies of the class names: one allocation, free with isg_free(); NULL and 0 if there are none. */
ISG_NODISCARD isg_status isgi_classes_get(const isg_rt_model *m, char ***names, uint32_t *count, isg_error *err);
/* Whether a file can hold the contract. */
int isgi_input_fits(const isg_input_spec *spec);
/* The input contract; `given` says whether there is one. */
ISG_NODISCARD isg_status isgi_input_get(const isg_rt_model *m, isg_input_spec *spec, int32_t *label_offset,
                                        isg_error *err);

#endif
