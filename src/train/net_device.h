/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled network whose activations and products live on a device. Parameters, quantisers, losses and optimisers
 * stay with the host: factors are small, so little travels a step. */
#ifndef INSITU_TRAIN_NET_DEVICE_H
#define INSITU_TRAIN_NET_DEVICE_H

#include "train/device.h"
#include "train/net.h"

/* What one operation keeps on the device. */
typedef struct isgi_devop {
    int32_t *source, *reader; /* of a convolution (device_kernels.h: isgi_taps) */
    uint32_t taps, in_pixels, out_pixels;
    uint8_t straight; /* reads every pixel once, in order: no gathering */
    uint8_t on_host;  /* no device code: runs on the processor, what it reads and writes travels */
    float *z, *d;     /* factored: kept from forward for backward */
    float *norm;      /* mean, istd, mul, add, k0, k1 of the channels */
    uint32_t *lists[4], *arg;
    float *factor; /* pooling */
} isgi_devop;

/* Floats that an operation borrows while it runs. */
enum { ISGI_ROOM_WIDE, ISGI_ROOM_MIDDLE, ISGI_ROOM_SUMS, ISGI_ROOM_FOLD, ISGI_ROOMS };

typedef struct isgi_devnet {
    isgi_device *device;
    isgi_devop *ops; /* as net->ops */
    void **owned;    /* device memory, to be released */
    size_t owned_count, owned_room;
    float *arena; /* offsets as in net->acts, times the batch */
    float *params, *grads, *running;
    /* Weights as the device reads them: factors, or [taps][ci][co]; the first `staged` floats come from the host, the
     * others are reordered from the parameters. */
    float *block, *dblock, *host_block;
    size_t (*weight_at)[3], staged, block_floats;
    float *room[ISGI_ROOMS];
    size_t room_floats[ISGI_ROOMS];
    float *host_input; /* the batch in channels-last order */
    uint8_t tf32;
    uint8_t *param_on_host, *weight_on_host; /* those of operations that run there */
} isgi_devnet;

/* Moves a compiled network to d, which stays borrowed. Errors: NOMEM, LIMIT (a tensor of more than 2^31 numbers). */
ISG_NODISCARD isg_status isgi_devnet_create(isgi_net *net, isgi_device *d, isg_error *err);
void isgi_devnet_destroy(isgi_net *net);
/* What isgi_net_load(), refresh(), forward() and backward() do besides the host's part. */
void isgi_devnet_load(isgi_net *net, const float *samples, uint32_t n);
ISG_NODISCARD isg_status isgi_devnet_refresh(isgi_net *net, isg_error *err);
ISG_NODISCARD isg_status isgi_devnet_forward(isgi_net *net, isg_error *err);
ISG_NODISCARD isg_status isgi_devnet_backward(isgi_net *net, isg_error *err);
/* All activations to the host, to look for what is not finite. */
ISG_NODISCARD isg_status isgi_devnet_fetch(isgi_net *net, isg_error *err);

/* ---- between net_device.c and net_device_ops.c ---- */
isg_status isgi_devnet_allocate(isgi_devnet *d, void **out, size_t bytes, isg_error *err);
/* Whether the device runs it; before anything is allocated. */
int isgi_devop_has_code(const isgi_net *net, const isgi_netop *op);
/* Lists and memory of one operation, and the rooms it wants. */
isg_status isgi_devop_create(isgi_net *net, int32_t index, isg_error *err);
void isgi_devop_forward(isgi_net *net, int32_t index);
void isgi_devop_backward(isgi_net *net, int32_t index);
static inline float *isgi_devnet_data(const isgi_net *net, int32_t act)
{
    return net->device->arena + net->acts[act].data * net->batch;
}
static inline float *isgi_devnet_grad(const isgi_net *net, int32_t act)
{
    return net->device->arena + net->acts[act].grad * net->batch;
}

#endif
