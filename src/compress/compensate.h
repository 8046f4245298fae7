/* SPDX-License-Identifier: Apache-2.0 */
/* Bias compensation: the mean output error of compressed layers moves into their biases. */
#ifndef INSITU_COMPRESS_COMPENSATE_H
#define INSITU_COMPRESS_COMPENSATE_H

#include "compress/calibrate.h"
#include "compress/layers.h"

/* In topological order, every layer sees the inputs that the compressed layers before it produce; its bias (added where
 * there is none) absorbs E[W x] - E[W^ x^] per output channel, so that means do not drift. Grouped convolutions other
 * than depthwise are left alone: their calibration mixes the groups. */
ISG_NODISCARD isg_status isgi_compensate_biases(const isgi_layers *layers, isg_graph *g, const isgi_calibration *c,
                                                uint64_t items, isg_error *err);

#endif
