/* SPDX-License-Identifier: Apache-2.0 */
/* Unit costs of this machine for the planner, measured once and kept in a file, and the roofs above them. */
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

/* What one core can do at most, for the roofline model (Williams et al., CACM 52(4), 2009): a layer takes its
 * multiply-adds at the first of these that fits its mode, or its weights, input and output at the last, whichever is
 * longer. What still lies in a nearer cache than the buffer measured may be read faster than that. */
typedef struct isg_peaks {
    uint32_t struct_size; /* sizeof(isg_peaks) */
    double f32_macs;      /* multiply-adds a second from registers */
    double int8_macs;     /* of bytes; AVX2, NEON: summed in 16 bits */
    double bf16_macs;     /* of bfloat16; f32_macs where there is no instruction for them */
    double bytes;         /* read a second, in order, from wherever a buffer of the size asked for lies */
} isg_peaks;

/* Measures them on the calling thread with the instructions that `isa_mask` (isg_isa bits) leaves on this CPU: some
 * milliseconds, more where `bytes` (clamped to 64 kB .. 128 MB), usually weights and workspace of a plan, go to memory.
 * Clocks change with what neighbours do: measure right beside what is compared. Errors: NOMEM. */
ISG_NODISCARD isg_status isg_peaks_measure(isg_peaks *peaks, uint32_t isa_mask, uint64_t bytes, isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
