/* SPDX-License-Identifier: Apache-2.0 */
/* Detection of instruction sets, compiled for the baseline so that it runs everywhere. */
#include "cpu/cpu.h"

#include <insitu/rt.h>

#if defined(__x86_64__)
#include <cpuid.h>

#define CPU_LEAF1_ECX_FMA (1u << 12)
#define CPU_LEAF1_ECX_OSXSAVE (1u << 27)
#define CPU_LEAF1_ECX_AVX (1u << 28)
#define CPU_LEAF7_EBX_AVX2 (1u << 5)
#define CPU_LEAF7_EBX_AVX512F (1u << 16)
#define CPU_LEAF7_EBX_AVX512DQ (1u << 17)
#define CPU_LEAF7_EBX_AVX512BW (1u << 30)
#define CPU_LEAF7_EBX_AVX512VL (1u << 31)
#define CPU_LEAF7_ECX_AVX512VBMI (1u << 1)
#define CPU_LEAF7_ECX_AVX512VNNI (1u << 11)
#define CPU_LEAF7_1_EAX_AVX512BF16 (1u << 5)
#define CPU_XCR0_AVX 0x06u    /* xmm and ymm */
#define CPU_XCR0_AVX512 0xe6u /* and opmask, upper halves, zmm16..31 */

/* XCR0: which register states the operating system saves. Without its consent the instructions fault. */
static uint32_t saved_states(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

uint32_t isgi_cpu_isa(void)
{
    const uint32_t wanted1 = CPU_LEAF1_ECX_FMA | CPU_LEAF1_ECX_OSXSAVE | CPU_LEAF1_ECX_AVX;
    const uint32_t wanted512 =
        CPU_LEAF7_EBX_AVX512F | CPU_LEAF7_EBX_AVX512DQ | CPU_LEAF7_EBX_AVX512BW | CPU_LEAF7_EBX_AVX512VL;
    const uint32_t wanted_vnni = CPU_LEAF7_ECX_AVX512VBMI | CPU_LEAF7_ECX_AVX512VNNI;
    uint32_t eax, ebx, ecx, edx, saved, isa = ISG_ISA_SCALAR;

    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & wanted1) != wanted1) return isa;
    saved = saved_states();
    if ((saved & CPU_XCR0_AVX) != CPU_XCR0_AVX) return isa;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ebx & CPU_LEAF7_EBX_AVX2)) return isa;
    isa |= ISG_ISA_AVX2;
    if ((ebx & wanted512) != wanted512 || (saved & CPU_XCR0_AVX512) != CPU_XCR0_AVX512) return isa;
    isa |= ISG_ISA_AVX512;
    if ((ecx & wanted_vnni) == wanted_vnni) isa |= ISG_ISA_AVX512VNNI;
    if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & CPU_LEAF7_1_EAX_AVX512BF16)) {
        isa |= ISG_ISA_AVX512BF16;
    }
    return isa;
}

#elif defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>

#define CPU_HWCAP_ASIMDDP (1u << 20)

static int has_dot_products(void)
{
    return (getauxval(AT_HWCAP) & CPU_HWCAP_ASIMDDP) != 0;
}
#else
static int has_dot_products(void)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return 1;
#else
    return 0; /* only a system can tell */
#endif
}
#endif

uint32_t isgi_cpu_isa(void)
{
    const uint32_t isa = ISG_ISA_NEON; /* part of the AArch64 baseline */
    return has_dot_products() ? isa | ISG_ISA_NEONDOT : isa;
}

#else

uint32_t isgi_cpu_isa(void)
{
    return ISG_ISA_SCALAR;
}

#endif

uint32_t isgi_cpu_effective_isa(uint32_t mask)
{
    uint32_t isa = isgi_cpu_isa() & mask;
    if (!(isa & ISG_ISA_AVX2)) isa &= ~(uint32_t)ISG_ISA_AVX512;
    if (!(isa & ISG_ISA_AVX512)) isa &= ~(uint32_t)(ISG_ISA_AVX512VNNI | ISG_ISA_AVX512BF16);
    if (!(isa & ISG_ISA_NEON)) isa &= ~(uint32_t)ISG_ISA_NEONDOT;
    return isa;
}

const char *isgi_cpu_isa_name(uint32_t isa)
{
    if (isa & ISG_ISA_AVX512BF16) return "avx512bf16";
    if (isa & ISG_ISA_AVX512VNNI) return "avx512vnni";
    if (isa & ISG_ISA_AVX512) return "avx512";
    if (isa & ISG_ISA_AVX2) return "avx2";
    if (isa & ISG_ISA_NEONDOT) return "neondot";
    if (isa & ISG_ISA_NEON) return "neon";
    return "scalar";
}
