/* SPDX-License-Identifier: Apache-2.0 */
/* What instruction sets this CPU and its operating system offer. */
#ifndef INSITU_CPU_H
#define INSITU_CPU_H

#include <stdint.h>

/* isg_isa bits (insitu/rt.h) that may be executed here: the CPU has them and the system saves their registers. */
uint32_t isgi_cpu_isa(void);
/* The effective set: what the CPU has and the mask allows. AVX512 is dropped without AVX2, AVX512VNNI without
 * AVX512 and NEONDOT without NEON, as their table entries lean on the lower ones. */
uint32_t isgi_cpu_effective_isa(uint32_t mask);
/* Highest level in a set: "scalar", "avx2", "avx512", "avx512vnni", "avx512bf16", "neon", "neondot". Static string. */
const char *isgi_cpu_isa_name(uint32_t isa);

#endif
