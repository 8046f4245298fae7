/* SPDX-License-Identifier: Apache-2.0 */
/* What one core can do at most: the roofs that a layer's time is compared with. */
#include <insitu/costs.h>
#include <insitu/host.h>
#include <insitu/memory.h>
#include <string.h>

#include "base/error.h"
#include "cpu/cpu.h"
#include "host/alloc.h"
#include "kernels/simd/unroll.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define STEPS 4000
#define SAMPLES 15
#define CHAINS 12 /* independent sums: more than any latency times pipes of a known core */
#define READ_MIN ((size_t)1 << 16)
#define READ_MAX ((size_t)1 << 27)

/* One run of a loop; returns its multiply-adds. What it computes goes to *sink so that it is computed. */
typedef double peak_fn(float *sink);

static double plain_f32(float *sink)
{
    float x[CHAINS];
    for (int j = 0; j < CHAINS; j++) x[j] = sink[0];
    for (int i = 0; i < STEPS; i++) {
        ISGI_UNROLL
        for (int j = 0; j < CHAINS; j++) x[j] = x[j] * 0.999f + 0.001f;
    }
    for (int j = 0; j < CHAINS; j++) sink[0] += x[j];
    return (double)CHAINS * STEPS;
}

static double plain_int8(float *sink)
{
    uint32_t x[CHAINS];
    for (int j = 0; j < CHAINS; j++) x[j] = (uint32_t)j;
    for (int i = 0; i < STEPS; i++) {
        ISGI_UNROLL
        for (int j = 0; j < CHAINS; j++) x[j] = x[j] * 5u + (uint32_t)i;
    }
    for (int j = 0; j < CHAINS; j++) sink[0] += (float)x[j];
    return (double)CHAINS * STEPS;
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static double avx2_f32(float *sink)
{
    const __m256 m = _mm256_set1_ps(0.999f), a = _mm256_set1_ps(0.001f);
    __m256 x[CHAINS];
    for (int j = 0; j < CHAINS; j++) x[j] = m;
    for (int i = 0; i < STEPS; i++) {
        ISGI_UNROLL
        for (int j = 0; j < CHAINS; j++) x[j] = _mm256_fmadd_ps(x[j], m, a);
    }
    for (int j = 0; j < CHAINS; j++) sink[0] += _mm256_cvtss_f32(x[j]);
    return (double)CHAINS * STEPS * 8;
}

/* Products of bytes added in 16 bits, as the kernels do with narrow codes. */
__attribute__((target("avx2"))) static double avx2_int8(float *sink)
{
    const __m256i a = _mm256_set1_epi8(3);
    __m256i x[CHAINS], b = _mm256_set1_epi8((char)sink[0]);
    for (int j = 0; j < CHAINS; j++) x[j] = a;
    for (int i = 0; i < STEPS; i++) {
        ISGI_UNROLL
        for (int j = 0; j < CHAINS; j++) {
            __asm__("" : "+x"(b)); /* the same product each time must not become one */
            x[j] = _mm256_add_epi16(x[j], _mm256_maddubs_epi16(b, a));
        }
    }
    for (int j = 0; j < CHAINS; j++) sink[0] += (float)_mm256_extract_epi16(x[j], 0);
    return (double)CHAINS * STEPS * 32;
}

__attribute__((target("avx512f"))) static double avx512_f32(float *sink)
{
    const __m512 m = _mm512_set1_ps(0.999f), a = _mm512_set1_ps(0.001f);
    __m512 x[CHAINS];
    for (int j = 0; j < CHAINS; j++) x[j] = m;
    for (int i = 0; i < STEPS; i++) {
        ISGI_UNROLL
        for (int j = 0; j < CHAINS; j++) x[j] = _mm512_fmadd_ps(x[j], m, a);
    }
    for (int j = 0; j < CHAINS; j++) sink[0] += _mm512_cvtss_f32(x[j]);
    return (double)CHAINS * STEPS * 16;
}

__attribute__((target("avx512f,avx512vnni"))) static double avx512vnni_int8(float *sink)
{
    const __m512i a = _mm512_set1_epi32(0x03020103);
    __m512i x[CHAINS];
    for (int j = 0; j < CHAINS; j++) x[j] = a;
    for (int i = 0; i < STEPS; i++) {
        ISGI_UNROLL
        for (int j = 0; j < CHAINS; j++) x[j] = _mm512_dpbusd_epi32(x[j], a, a);
    }
    for (int j = 0; j < CHAINS; j++) sink[0] += (float)_mm_cvtsi128_si32(_mm512_castsi512_si128(x[j]));
    return (double)CHAINS * STEPS * 64;
}
#elif defined(__aarch64__)
static double neon_f32(float *sink)
{
    const float32x4_t m = vdupq_n_f32(0.999f), a = vdupq_n_f32(0.001f);
    float32x4_t x[CHAINS];
    for (int j = 0; j < CHAINS; j++) x[j] = m;
    for (int i = 0; i < STEPS; i++) {
        ISGI_UNROLL
        for (int j = 0; j < CHAINS; j++) x[j] = vfmaq_f32(a, x[j], m);
    }
    for (int j = 0; j < CHAINS; j++) sink[0] += vgetq_lane_f32(x[j], 0);
    return (double)CHAINS * STEPS * 4;
}

static double neon_int8(float *sink)
{
    int8x8_t a = vdup_n_s8(3);
    int16x8_t x[CHAINS];
    for (int j = 0; j < CHAINS; j++) x[j] = vdupq_n_s16((int16_t)j);
    for (int i = 0; i < STEPS; i++) {
        ISGI_UNROLL
        for (int j = 0; j < CHAINS; j++) {
            __asm__("" : "+w"(a)); /* the same product each time must not become one */
            x[j] = vmlal_s8(x[j], a, a);
        }
    }
    for (int j = 0; j < CHAINS; j++) sink[0] += (float)vgetq_lane_s16(x[j], 0);
    return (double)CHAINS * STEPS * 8;
}

__attribute__((target("arch=armv8.2-a+dotprod"))) static double neondot_int8(float *sink)
{
    const int8x16_t a = vdupq_n_s8(3);
    int32x4_t x[CHAINS];
    for (int j = 0; j < CHAINS; j++) x[j] = vdupq_n_s32(j);
    for (int i = 0; i < STEPS; i++) {
        ISGI_UNROLL
        for (int j = 0; j < CHAINS; j++) x[j] = vdotq_s32(x[j], a, a);
    }
    for (int j = 0; j < CHAINS; j++) sink[0] += (float)vgetq_lane_s32(x[j], 0);
    return (double)CHAINS * STEPS * 16;
}
#endif

static peak_fn *f32_of(uint32_t isa)
{
#if defined(__x86_64__)
    if (isa & ISG_ISA_AVX512) return avx512_f32;
    if (isa & ISG_ISA_AVX2) return avx2_f32;
#elif defined(__aarch64__)
    if (isa & ISG_ISA_NEON) return neon_f32;
#endif
    (void)isa;
    return plain_f32;
}

static peak_fn *int8_of(uint32_t isa)
{
#if defined(__x86_64__)
    if (isa & ISG_ISA_AVX512VNNI) return avx512vnni_int8;
    if (isa & ISG_ISA_AVX2) return avx2_int8;
#elif defined(__aarch64__)
    if (isa & ISG_ISA_NEONDOT) return neondot_int8;
    if (isa & ISG_ISA_NEON) return neon_int8;
#endif
    (void)isa;
    return plain_int8;
}

/* Multiply-adds a second: the best of several samples. */
static double rate_of(peak_fn *fn)
{
    float sink = 1.0f;
    double best = 0.0;
    for (int s = 0; s < SAMPLES; s++) {
        const uint64_t start = isg_host_nanoseconds();
        const double count = fn(&sink), rate = count * 1e9 / (double)(isg_host_nanoseconds() - start + 1);
        if (rate > best) best = rate;
    }
    return best;
}

typedef uint64_t lanes __attribute__((vector_size(16)));

/* Sums in order, four vectors at once. */
static uint64_t read_all(const lanes *data, size_t count)
{
    lanes sum[4] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
    for (size_t i = 0; i < count; i += 4) {
        ISGI_UNROLL
        for (size_t j = 0; j < 4; j++) sum[j] += data[i + j];
    }
    sum[0] += sum[1] + sum[2] + sum[3];
    return sum[0][0] + sum[0][1];
}

static isg_status read_rate(double *rate, size_t bytes, isg_error *err)
{
    const size_t size = bytes < READ_MIN ? READ_MIN : bytes > READ_MAX ? READ_MAX : bytes, count = size / 64 * 4;
    lanes *data = isgi_malloc(count * sizeof *data);
    volatile uint64_t sink;
    *rate = 0.0;
    if (!data) return isgi_nomem(err);
    memset(data, 1, count * sizeof *data); /* pages of its own, not the system's one of zeros */
    for (int s = 0; s < SAMPLES; s++) {
        const uint64_t start = isg_host_nanoseconds();
        double here;
        sink = read_all(data, count);
        here = (double)(count * sizeof *data) * 1e9 / (double)(isg_host_nanoseconds() - start + 1);
        if (here > *rate) *rate = here;
    }
    (void)sink;
    isg_free(data);
    return ISG_OK;
}

isg_status isg_peaks_measure(isg_peaks *peaks, uint32_t isa_mask, uint64_t bytes, isg_error *err)
{
    const uint32_t isa = isgi_cpu_effective_isa(isa_mask);
    memset(peaks, 0, sizeof *peaks);
    peaks->struct_size = sizeof *peaks;
    peaks->f32_macs = rate_of(f32_of(isa));
    peaks->int8_macs = rate_of(int8_of(isa));
    return read_rate(&peaks->bytes, bytes > READ_MAX ? READ_MAX : (size_t)bytes, err);
}
