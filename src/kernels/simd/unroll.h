/* SPDX-License-Identifier: Apache-2.0 */
/* Complete unrolling of short loops over registers, in the words of each compiler. */
#ifndef INSITU_KERNELS_UNROLL_H
#define INSITU_KERNELS_UNROLL_H

/* Before a loop of at most 16 turns whose count is a constant once inlined: arrays indexed by it become registers. */
#if defined(__clang__)
#define ISGI_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define ISGI_UNROLL _Pragma("GCC unroll 16")
#else
#define ISGI_UNROLL
#endif

#endif
