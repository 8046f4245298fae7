/* SPDX-License-Identifier: Apache-2.0 */
/* The golden pair: the output of a model on an input that a stored seed makes. */
#ifndef INSITU_PACK_GOLDEN_H
#define INSITU_PACK_GOLDEN_H

#include <insitu/rt.h>
#include <insitu/status.h>

#include "host/buffer.h"

#define ISGI_GOLDEN_MAXIMUM 16384u /* outputs; a file must not grow by more than 64 KiB for its test */

/* Runs the model once (batch 1) on the input of `seed`; *out (free with isg_free()) holds all outputs one after the
 * other. */
ISG_NODISCARD isg_status isgi_golden_run(const isg_rt_model *m, const isg_rt_options *options, uint64_t seed,
                                         float **out, uint32_t *count, isg_error *err);
/* Appends the GOLDEN section, or nothing where the outputs are too many to be worth storing or not finite. */
ISG_NODISCARD isg_status isgi_golden_write(isgi_buffer *section, const isg_rt_model *m, uint64_t seed, isg_error *err);
/* What outputs may differ by, in parts of the largest of the stored ones, or of 1 where those are smaller, of a GOLDEN
 * section that is whole and an isg_mode. */
double isgi_golden_tolerance(const uint8_t *section, uint32_t mode);
/* The same for outputs that were made in that mode, in plain C. */
double isgi_golden_mode_tolerance(uint32_t mode);

#endif
