/* SPDX-License-Identifier: Apache-2.0 */
/* Unit costs of this machine for the planner, measured once and kept in a file. */
#ifndef INSITU_COSTS_H
#define INSITU_COSTS_H

#include <insitu/rt.h>
#include <insitu/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Times the kernels that `isa_mask` (isg_isa bits) leaves on this CPU, one thread, about a fifth of a second. Every
 * cost comes out between 1 and 10^9. Errors: NOMEM. */
ISG_NODISCARD isg_status isg_costs_measure(isg_rt_costs *costs, uint32_t isa_mask, isg_error *err);

/* The costs kept for this CPU, instruction set and version under $XDG_CACHE_HOME/insitu or ~/.cache/insitu; where there
 * are none, or `again` is set, they are measured and kept (written atomically; a folder that cannot be written is no
 * error, nor is a damaged file). *measured (may be NULL) tells whether this call measured. isa_mask as for
 * isg_session_create(): INSITU_ISA limits ISG_ISA_ALL. Errors: NOMEM, ARG (INSITU_ISA). */
ISG_NODISCARD isg_status isg_costs_load(isg_rt_costs *costs, uint32_t isa_mask, int again, int *measured,
                                        isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
