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

/* A loop over sums x[j] of a vector type: each begins at `first`, takes `next` a step, and `one` of it is kept. */
#define PEAK_LOOP(type, macs, first, next, one)                                                                        \
    type x[CHAINS];                                                                                                    \
    for (int j = 0; j < CHAINS; j++) x[j] = first;                                                                     \
    for (int i = 0; i < STEPS; i++) {                                                                                  \
        ISGI_UNROLL                                                                                                    \
        for (int j = 0; j < CHAINS; j++) {                                                                             \
            next;                                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    for (int j = 0; j < CHAINS; j++) *sink += (float)(one);                                                            \
    return (double)CHAINS * STEPS * (macs)
/* Says that v may have changed: the same product each time must not become one. */
#define CHANGED(constraint, v) __asm__("" : "+" constraint(v))

static double plain_f32(float *sink)
{
    PEAK_LOOP(float, 1, *sink, x[j] = x[j] * 0.999f + 0.001f, x[j]);
}

static double plain_int8(float *sink)
{
    PEAK_LOOP(uint32_t, 1, (uint32_t)j, x[j] = x[j] * 5u + (uint32_t)i, x[j]);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static double avx2_f32(float *sink)
{
    const __m256 m = _mm256_set1_ps(0.999f), a = _mm256_set1_ps(0.001f);
    PEAK_LOOP(__m256, 8, m, x[j] = _mm256_fmadd_ps(x[j], m, a), _mm256_cvtss_f32(x[j]));
}

/* Products of bytes added in 16 bits, as the kernels do with narrow codes. */
__attribute__((target("avx2"))) static double avx2_int8(float *sink)
{
    const __m256i a = _mm256_set1_epi8(3);
    __m256i b = a;
    PEAK_LOOP(__m256i, 32, a, CHANGED("x", b);
              x[j] = _mm256_add_epi16(x[j], _mm256_maddubs_epi16(b, a)), _mm256_extract_epi16(x[j], 0));
}

__attribute__((target("avx512f"))) static double avx512_f32(float *sink)
{
    const __m512 m = _mm512_set1_ps(0.999f), a = _mm512_set1_ps(0.001f);
    PEAK_LOOP(__m512, 16, m, x[j] = _mm512_fmadd_ps(x[j], m, a), _mm512_cvtss_f32(x[j]));
}

__attribute__((target("avx512f,avx512vnni"))) static double avx512vnni_int8(float *sink)
{
    const __m512i a = _mm512_set1_epi32(0x03020103);
    PEAK_LOOP(__m512i, 64, a, x[j] = _mm512_dpbusd_epi32(x[j], a, a), _mm_cvtsi128_si32(_mm512_castsi512_si128(x[j])));
}

__attribute__((target("avx512f,avx512bf16"))) static double avx512bf16_bf16(float *sink)
{
    const __m512i a = _mm512_set1_epi32(0x3a803a80); /* two of 2^-10 */
    PEAK_LOOP(__m512, 32, _mm512_set1_ps(0.5f), x[j] = _mm512_dpbf16_ps(x[j], (__m512bh)a, (__m512bh)a),
              _mm512_cvtss_f32(x[j]));
}
#elif defined(__aarch64__)
static double neon_f32(float *sink)
{
    const float32x4_t m = vdupq_n_f32(0.999f), a = vdupq_n_f32(0.001f);
    PEAK_LOOP(float32x4_t, 4, m, x[j] = vfmaq_f32(a, x[j], m), vgetq_lane_f32(x[j], 0));
}

static double neon_int8(float *sink)
{
    int8x8_t a = vdup_n_s8(3);
    PEAK_LOOP(int16x8_t, 8, vdupq_n_s16((int16_t)j), CHANGED("w", a);
              x[j] = vmlal_s8(x[j], a, a), vgetq_lane_s16(x[j], 0));
}

__attribute__((target("arch=armv8.2-a+dotprod"))) static double neondot_int8(float *sink)
{
    const int8x16_t a = vdupq_n_s8(3);
    PEAK_LOOP(int32x4_t, 16, vdupq_n_s32(j), x[j] = vdotq_s32(x[j], a, a), vgetq_lane_s32(x[j], 0));
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

static peak_fn *bf16_of(uint32_t isa)
{
#if defined(__x86_64__)
    if (isa & ISG_ISA_AVX512BF16) return avx512bf16_bf16;
#endif
    return f32_of(isa);
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
    peaks->bf16_macs = rate_of(bf16_of(isa));
    return read_rate(&peaks->bytes, bytes > READ_MAX ? READ_MAX : (size_t)bytes, err);
}
