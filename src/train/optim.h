/* SPDX-License-Identifier: Apache-2.0 */
/* Optimisers, learning rate schedules, gradient norm and clipping, moving average of the weights. */
#ifndef INSITU_TRAIN_OPTIM_H
#define INSITU_TRAIN_OPTIM_H

#include <insitu/train.h>

#include "train/net.h"

typedef struct isgi_optim {
    uint32_t kind; /* isg_optimizer */
    float weight_decay, momentum, ema_decay;
    uint64_t step;    /* steps taken */
    float *m, *v;     /* moments in the order of net->params; v NULL for SGD */
    float *ema;       /* NULL when off */
    double *norms;    /* scratch, one a parameter */
    float lr, factor; /* of the step being taken */
} isgi_optim;

ISG_NODISCARD isg_status isgi_optim_create(isgi_optim **out, const isgi_net *net, const isg_train_options *o,
                                           isg_error *err);
void isgi_optim_destroy(isgi_optim *o);
/* Global 2-norm of all gradients, the same for any number of threads. */
double isgi_optim_norm(isgi_optim *o, isgi_net *net);
/* One step with gradients multiplied by `factor` first. Weight decay is decoupled for RAdam and AdamW and added to the
 * gradient for SGD (which uses Nesterov momentum); only parameters marked for decay have any. Learned scales are held
 * above their floor. */
void isgi_optim_step(isgi_optim *o, isgi_net *net, float lr, float factor);

/* Learning rate at `progress` 0..1 of the run, of which `epochs` is the length. CONSTANT; COSINE to 0; EXPONENTIAL
 * 0.98 an epoch; ONECYCLE from lr/25 up over 30 % and down to lr/10000. Warm-up multiplies by (step + 1) / warmup. */
float isgi_schedule(const isg_train_options *o, double progress, double epochs, uint64_t step);

#endif
