/* SPDX-License-Identifier: Apache-2.0 */
/* How the ranks of a run stay together: one decision a step, one error for all, one state at the start. */
#include "train/trainer.h"

#include "base/error.h"
#include "host/alloc.h"

#include <string.h>

isg_status isgi_ranks_agree(const isgi_trainer *t, isg_status status, isg_error *err)
{
    return isg_comm_agree(t->o.comm, status, err);
}

isg_status isgi_ranks_sum(const isgi_trainer *t, double *x, size_t n, isg_error *err)
{
    return t->o.comm ? t->o.comm->sum_f64(t->o.comm, x, n, err) : ISG_OK;
}

isg_status isgi_ranks_turn(const isgi_trainer *t, isgi_turn *turn, isg_error *err)
{
    const int first = t->o.comm && t->o.comm->rank == 0;
    /* clocks differ: what follows time is rank 0's; adding zeros to it changes no bit */
    double x[3] = {first ? turn->rate : 0, first ? turn->out_of_time : 0, turn->cancelled};
    if (!t->o.comm) return ISG_OK;
    ISGI_TRY(isgi_ranks_sum(t, x, 3, err));
    turn->rate = x[0];
    turn->out_of_time = x[1] != 0;
    turn->cancelled = x[2] != 0;
    return ISG_OK;
}

isg_status isgi_ranks_start(isgi_trainer *t, isg_error *err)
{
    isg_comm *c = t->o.comm;
    uint8_t config[32];
    isg_status status = ISG_OK;
    if (!c) return ISG_OK;
    memcpy(config, t->config, sizeof config);
    ISGI_TRY(c->broadcast(c, config, sizeof config, 0, err));
    if (memcmp(config, t->config, sizeof config) != 0) {
        status = isgi_fail(err, ISG_E_ARG, "rank %u has other options, another network or other data than rank 0",
                           (unsigned)c->rank);
    }
    ISGI_TRY(isgi_ranks_agree(t, status, err));
    ISGI_TRY(isgi_checkpoint_share(t, err));
    status = isgi_net_refresh(t->net, err);
    c->bytes = 0;
    c->seconds = 0;
    t->steps_before = t->at.step;
    return isgi_ranks_agree(t, status, err);
}
