/* SPDX-License-Identifier: Apache-2.0 */
/* The question that every long loop asks of its caller. */
#ifndef INSITU_HOST_CANCEL_H
#define INSITU_HOST_CANCEL_H

#include <insitu/host.h>

#include "host/alloc.h"

/* CANCELLED where the caller wants to stop; p may be NULL. */
static inline isg_status isgi_cancelled(const isg_progress *p, isg_error *err)
{
    return p && p->cancelled && p->cancelled(p->user) ? isgi_fail(err, ISG_E_CANCELLED, "cancelled") : ISG_OK;
}

#endif
