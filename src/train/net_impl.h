/* SPDX-License-Identifier: Apache-2.0 */
/* What operations keep (isgi_netop.impl) where more than one file reads it: the CPU's phases and the device's. */
#ifndef INSITU_TRAIN_NET_IMPL_H
#define INSITU_TRAIN_NET_IMPL_H

#include "train/activation.h"
#include "train/net.h"

#define ISGI_NORM_MOMENTUM 0.1f

typedef struct isgi_norm {
    int32_t gamma, beta;
    size_t channels, rows; /* rows a sample */
    size_t running;        /* offset in net->running: mean then variance */
    float *mean_origin, *var_origin, eps;
    float *mean, *istd, *mul, *add, *k0, *k1; /* one allocation, of this batch */
} isgi_norm;

/* Output position p takes list[start[p]] .. list[start[p+1]-1], each `width` neighbouring floats; average: times
 * factor[p]. */
typedef struct isgi_pool {
    size_t positions, width;
    uint32_t *start, *list;
    float *factor;
    uint32_t *arg; /* maximum: the input position chosen, an entry an output element of every chunk; NULL: average */
} isgi_pool;

/* Of RELU, CLIP, LEAKY_RELU, HARD_SIGMOID, HARD_SWISH and SIGMOID. */
isgi_activation isgi_activation_of(const isgi_netop *op);
/* Whether all operands of this ADD or SUM are activations of its own shape. */
int isgi_binary_is_plain(const isgi_net *net, const isgi_netop *op);
/* Whether a move leaves a sample as it is. */
int isgi_move_is_straight(const isgi_netop *op);
/* Input pixel that tap t of output pixel p reads, and the reverse, as [pixels][taps]; -1: none. */
void isgi_conv_taps(const isgi_net *net, const isgi_netop *op, int32_t *source, int32_t *reader);

#endif
