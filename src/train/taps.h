/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over the taps of one sample, depthwise over bi lists of bo channels, and their gradients. */
#ifndef INSITU_TRAIN_TAPS_H
#define INSITU_TRAIN_TAPS_H

#include "kernels/kernels.h"

#include <stddef.h>
#include <stdint.h>

/* d[p][o] = sum_t sum_i basis[t][i*bo + o] z[q(p,t)][i*bo + o]: SPEC section 2, the middle of a factored convolution.
 * Two axes, rows then columns; one row for a convolution over one axis. */
typedef struct isgi_taps {
    size_t in[2], out[2], kernel[2], stride[2], dilation[2], pad[2];
    size_t bi, bo;
    const int32_t *source; /* [outputs][taps]: input pixel, -1 in the padding */
    const int32_t *reader; /* [inputs][taps]: output pixel that reads it by this tap, or -1 */
} isgi_taps;

/* Floats of the spare memory that each function below takes; its contents mean nothing between calls. */
size_t isgi_taps_spare(const isgi_taps *t);
/* d [outputs][bo] from z [inputs][bi * bo] and basis [taps][bi * bo]. */
void isgi_taps_forward(const isgi_taps *t, const isgk_table *kernels, float *d, const float *z, const float *basis,
                       float *spare);
/* dz[q][i*bo + o] = sum over the outputs that read q of dd[p][o] basis[t][i*bo + o]. */
void isgi_taps_data_gradient(const isgi_taps *t, const isgk_table *kernels, float *dz, const float *dd,
                             const float *basis, float *spare);
/* dbasis[t][i*bo + o] += sum_p dd[p][o] z[q(p,t)][i*bo + o]. z_floats numbers lie at z: what is behind this sample is
 * asked for, not used. */
void isgi_taps_basis_gradient(const isgi_taps *t, float *dbasis, const float *dd, const float *z, size_t z_floats,
                              float *spare);

#endif
