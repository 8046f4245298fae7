/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled network whose activations and products live on a device. Parameters, quantisers, losses and optimisers
 * stay with the host: factors are small, so little travels a step. */
#ifndef INSITU_TRAIN_NET_DEVICE_H
#define INSITU_TRAIN_NET_DEVICE_H

#include "train/device.h"
#include "train/net.h"

/* What one operation keeps on the device. */
typedef struct isgi_devop isgi_devop;

/* How a kind of operation runs there. */
typedef struct isgi_devop_vt {
    int (*fits)(const isgi_net *net, const isgi_netop *op); /* NULL: always */
    /* lists and memory, and the rooms it wants; NULL: none */
    isg_status (*create)(isgi_net *net, const isgi_netop *op, isgi_devop *o, isg_error *err);
    void (*forward)(const isgi_net *net, const isgi_netop *op, const isgi_devop *o);
    void (*backward)(const isgi_net *net, const isgi_netop *op, const isgi_devop *o);
} isgi_devop_vt;

struct isgi_devop {
    const isgi_devop_vt *vt;  /* NULL: no device code; runs on the processor, what it reads and writes travels */
    int32_t *source, *reader; /* of a convolution (device_kernels.h: isgi_taps) */
    uint32_t taps, in_pixels, out_pixels;
    uint8_t straight; /* reads every pixel once, in order: no gathering */
    float *z, *d;     /* factored: kept from forward for backward */
    float *norm;      /* mean, istd, mul, add, k0, k1 of the channels */
    uint32_t *lists[4], *arg;
    float *factor; /* pooling */
};

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
/* What refresh(), forward() and backward() of the network do besides the host's part. */
ISG_NODISCARD isg_status isgi_devnet_refresh(isgi_net *net, isg_error *err);
ISG_NODISCARD isg_status isgi_devnet_forward(isgi_net *net, isg_error *err);
ISG_NODISCARD isg_status isgi_devnet_backward(isgi_net *net, isg_error *err);
/* All activations to the host, to look for what is not finite. */
ISG_NODISCARD isg_status isgi_devnet_fetch(isgi_net *net, isg_error *err);

/* ---- between net_device.c and net_device_ops.c ---- */
isg_status isgi_devnet_allocate(isgi_devnet *d, void **out, size_t bytes, isg_error *err);
/* NULL where the device has no code for the operation. */
const isgi_devop_vt *isgi_devop_code(const isgi_net *net, const isgi_netop *op);
static inline float *isgi_devnet_data(const isgi_net *net, int32_t act)
{
    return net->device->arena + net->acts[act].data * net->batch;
}
static inline float *isgi_devnet_grad(const isgi_net *net, int32_t act)
{
    return net->device->arena + net->acts[act].grad * net->batch;
}

#endif
