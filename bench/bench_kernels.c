/* SPDX-License-Identifier: Apache-2.0 */
/* Times every kernel variant of kernels.def that this CPU can run, beside the peak it could reach.
 *
 * usage: bench_kernels [KERNEL]   Arithmetic is compared with a loop of independent multiply-adds of the same numbers
 * and instruction set (src/pack/peaks.c), memory traffic with memcpy over as many bytes. Each number is the median of
 * 21 timings. One thread. */
#include <insitu/costs.h>
#include <insitu/rt.h>

#include "cpu/cpu.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SETS 6
#define REPEATS 21
#define MIN_SECONDS 0.001

static float *buffers[4];
static const float **tap_list;
static const size_t buffer_floats = 1u << 20;
static isg_peaks peaks[SETS]; /* of one thread; 0 where unknown */
static volatile float sink;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds a call, median; `run` is called often enough that the clock can see it. */
#define MEASURE(seconds, call)                                                                                         \
    do {                                                                                                               \
        double sample_[REPEATS];                                                                                       \
        size_t calls_ = 1;                                                                                             \
        for (;;) {                                                                                                     \
            const double start_ = now();                                                                               \
            for (size_t i_ = 0; i_ < calls_; i_++) call;                                                               \
            if (now() - start_ > MIN_SECONDS) break;                                                                   \
            calls_ *= 2;                                                                                               \
        }                                                                                                              \
        for (int r_ = 0; r_ < REPEATS; r_++) {                                                                         \
            const double start_ = now();                                                                               \
            for (size_t i_ = 0; i_ < calls_; i_++) call;                                                               \
            sample_[r_] = (now() - start_) / (double)calls_;                                                           \
        }                                                                                                              \
        qsort(sample_, REPEATS, sizeof *sample_, by_value);                                                            \
        (seconds) = sample_[REPEATS / 2];                                                                              \
    } while (0)

/* Each with those below it. Without instructions for bytes, or for bfloat16, of its own a set has the peak of those. */
static const struct {
    const char *name;
    uint32_t bit, mask;
} sets[SETS] = {
    {"avx2", ISG_ISA_AVX2, ISG_ISA_AVX2},
    {"avx512", ISG_ISA_AVX512, ISG_ISA_AVX2 | ISG_ISA_AVX512},
    {"avx512vnni", ISG_ISA_AVX512VNNI, ISG_ISA_AVX2 | ISG_ISA_AVX512 | ISG_ISA_AVX512VNNI},
    {"avx512bf16", ISG_ISA_AVX512BF16, ISG_ISA_AVX2 | ISG_ISA_AVX512 | ISG_ISA_AVX512VNNI | ISG_ISA_AVX512BF16},
    {"neon", ISG_ISA_NEON, ISG_ISA_NEON},
    {"neondot", ISG_ISA_NEONDOT, ISG_ISA_NEON | ISG_ISA_NEONDOT},
};

static void measure_peaks(void)
{
    for (int i = 0; i < SETS; i++) {
        if ((isgi_cpu_isa() & sets[i].mask) != sets[i].mask ||
            isg_peaks_measure(&peaks[i], sets[i].mask, 0, NULL) != ISG_OK) {
            memset(&peaks[i], 0, sizeof peaks[i]);
            continue;
        }
        printf("peak of %s, one thread: %.1f GFLOP/s in f32, %.1f in bf16, %.1f Gop/s in int8\n", sets[i].name,
               2e-9 * peaks[i].f32_macs, 2e-9 * peaks[i].bf16_macs, 2e-9 * peaks[i].int8_macs);
    }
}

/* Of the highest set that a variant needs; NULL for the reference. */
static const isg_peaks *peaks_of(uint32_t bit)
{
    for (int i = SETS; i-- > 0;) {
        if (bit & sets[i].bit) return &peaks[i];
    }
    return NULL;
}

static void report_rate(const char *name, const char *shape, double rate, const char *unit, double peak_macs)
{
    printf("%-24s %-26s %9.2f %s", name, shape, rate / 1e9, unit);
    if (peak_macs > 0.0) printf("  %5.1f %% of peak", 100.0 * rate / (2.0 * peak_macs));
    putchar('\n');
}

static void report_flops(const char *name, const char *shape, uint32_t bit, double flops, double seconds)
{
    const isg_peaks *p = peaks_of(bit);
    report_rate(name, shape, flops / seconds, "GFLOP/s", p ? p->f32_macs : 0.0);
}

static void report_bf16(const char *name, const char *shape, uint32_t bit, double flops, double seconds)
{
    const isg_peaks *p = peaks_of(bit);
    report_rate(name, shape, flops / seconds, "GFLOP/s", p ? p->bf16_macs : 0.0);
}

static void report_ops(const char *name, const char *shape, uint32_t bit, double ops, double seconds)
{
    const isg_peaks *p = peaks_of(bit);
    report_rate(name, shape, ops / seconds, "Gop/s", p ? p->int8_macs : 0.0);
}

static void report_bytes(const char *name, const char *shape, double bytes, double seconds)
{
    double copy;
    size_t half = (size_t)bytes / 2;
    if (half > buffer_floats * sizeof(float)) half = buffer_floats * sizeof(float);
    MEASURE(copy, (memcpy(buffers[2], buffers[3], half), sink = buffers[2][0]));
    printf("%-24s %-26s %9.2f GB/s     %5.1f %% of memcpy\n", name, shape, bytes / seconds / 1e9,
           100.0 * (bytes / seconds) / (2.0 * (double)half / copy));
}

static void bench_gemm_f32(isgk_gemm_f32_fn *fn, const char *name, uint32_t bit)
{
    static const size_t shapes[][3] = {{1, 512, 512}, {4, 512, 512},   {16, 512, 512}, {49, 512, 128},
                                       {64, 64, 576}, {64, 32, 64},    {256, 88, 512}, {256, 512, 44},
                                       {128, 44, 88}, {256, 256, 256}, {512, 512, 512}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
        char text[64];
        double s;
        snprintf(text, sizeof text, "m=%zu n=%zu k=%zu", m, n, k);
        MEASURE(s, fn(buffers[0], n, buffers[1], k, buffers[2], n, m, n, k, 0));
        report_flops(name, text, bit, 2.0 * (double)m * (double)n * (double)k, s);
    }
}

static const size_t panel_shapes[][3] = {{8, 96, 512}, {16, 96, 512}, {32, 96, 64}, {64, 96, 64},
                                         {64, 64, 44}, {16, 512, 44}, {64, 128, 44}};

static void bench_gemm_panels_f32(isgk_gemm_panels_f32_fn *fn, const char *name, uint32_t bit)
{
    isgk_finish finish = {buffers[3], NULL, 0, 0.0f, 6.0f};
    for (size_t i = 0; i < sizeof panel_shapes / sizeof *panel_shapes; i++) {
        const size_t m = panel_shapes[i][0], n = panel_shapes[i][1], k = panel_shapes[i][2];
        char text[64];
        double s;
        snprintf(text, sizeof text, "m=%zu n=%zu k=%zu", m, n, k);
        MEASURE(s, fn(buffers[0], n, buffers[1], k, buffers[2], m, n, k, &finish, NULL, 0));
        report_flops(name, text, bit, 2.0 * (double)m * (double)n * (double)k, s);
    }
}

static void bench_gemm_panels_bf16(isgk_gemm_panels_bf16_fn *fn, const char *name, uint32_t bit)
{
    isgk_finish finish = {buffers[3], NULL, 0, 0.0f, 6.0f};
    const uint32_t *panels = (const uint32_t *)(const void *)buffers[2]; /* a float is a pair of numbers too */
    for (size_t i = 0; i < sizeof panel_shapes / sizeof *panel_shapes; i++) {
        const size_t m = panel_shapes[i][0], n = panel_shapes[i][1], k = panel_shapes[i][2];
        char text[64];
        double s;
        snprintf(text, sizeof text, "m=%zu n=%zu k=%zu", m, n, k);
        MEASURE(s, fn(buffers[0], n, buffers[1], k, panels, m, n, k, &finish));
        report_bf16(name, text, bit, 2.0 * (double)m * (double)n * (double)k, s);
    }
}

static void bench_panel_bf16(isgk_panel_bf16_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    MEASURE(s, fn((uint32_t *)(void *)buffers[0], buffers[1], 256));
    report_bytes(name, "256 rows", 256.0 * ISGK_PANEL * 6.0, s);
}

static void bench_unpack_columns(isgk_unpack_columns_fn *fn, const char *name, uint32_t bit)
{
    (void)bit;
    for (uint32_t bits = 1; bits <= 8; bits++) {
        char text[64];
        double s;
        snprintf(text, sizeof text, "256 x 32 bits=%u", bits);
        MEASURE(s, fn(buffers[0], 32, (const uint8_t *)buffers[1], 1u << 20, 0, 88 * bits, 256, 32, 32, bits, 1.0f,
                      -4.0f, buffers[2]));
        report_bytes(name, text, 256.0 * 32 * (4.0 + bits / 8.0), s);
    }
}

static void bench_unpack_affine(isgk_unpack_affine_fn *fn, const char *name, uint32_t bit)
{
    const size_t n = 4096;
    (void)bit;
    for (uint32_t bits = 1; bits <= 8; bits++) {
        char text[64];
        double s;
        snprintf(text, sizeof text, "n=%zu bits=%u", n, bits);
        MEASURE(s, fn(buffers[0], (const uint8_t *)buffers[1], n * 2, 3, n, bits, 2.0f, -7.0f));
        report_bytes(name, text, (double)n * (4.0 + bits / 8.0), s);
    }
}

static const char *const act_names[ISGK_ACT_COUNT] = {"none",    "relu",         "clip",       "leaky_relu",
                                                      "sigmoid", "hard_sigmoid", "hard_swish", "silu"};

static void bench_epilogue_f32(isgk_epilogue_f32_fn *fn, const char *name, uint32_t bit)
{
    (void)bit;
    for (uint32_t kind = 0; kind < ISGK_ACT_COUNT; kind++) {
        const isgk_act act = {kind, 0.1f, 0.5f, 0.0f, 6.0f};
        double s;
        char text[64];
        snprintf(text, sizeof text, "64 x 128 %s", act_names[kind]);
        MEASURE(s, fn(buffers[0], 128, 64, 128, buffers[1], &act));
        report_bytes(name, text, 64 * 128 * 8.0, s);
    }
}

static void bench_act_f32(isgk_act_f32_fn *fn, const char *name, uint32_t bit)
{
    (void)bit;
    for (uint32_t kind = 0; kind < ISGK_ACT_COUNT; kind++) {
        const isgk_act act = {kind, 0.1f, 0.5f, 0.0f, 6.0f};
        double s;
        char text[64];
        snprintf(text, sizeof text, "n=8192 %s", act_names[kind]);
        MEASURE(s, fn(buffers[0], buffers[1], 8192, &act));
        report_bytes(name, text, 8192 * 8.0, s);
    }
}

/* Pointers of a strip: tap t of pixel p reads row p + t of buffer 1, as a 3 x 3 over a narrow image would. */
static void fill_taps(size_t pixels, size_t tap_count, size_t channels)
{
    for (size_t i = 0; i < pixels * tap_count; i++) {
        tap_list[i] = buffers[1] + (i / tap_count + i % tap_count) * channels;
    }
}

static void bench_dwrow_f32(isgk_dwrow_f32_fn *fn, const char *name, uint32_t bit)
{
    static const size_t widths[] = {4, 8, 16, 32, 56};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        const size_t w = widths[i];
        const float *rows[3] = {buffers[1], buffers[1] + w * 96, buffers[1] + 2 * w * 96};
        const isgk_dwrow g = {rows, buffers[2], 48, 3, 3, 2, w, 96, 48, 1, 1, 1};
        char text[64];
        double s;
        snprintf(text, sizeof text, "%zu pixels, 2 x 48, 3x3", w);
        MEASURE(s, fn(buffers[0], 48, &g, w, 48, NULL));
        report_flops(name, text, bit, 2.0 * 18 * 48 * (double)w, s);
    }
}

static void bench_dwconv_f32(isgk_dwconv_f32_fn *fn, const char *name, uint32_t bit)
{
    static const size_t shapes[][3] = {{64, 9, 32}, {64, 9, 128}, {64, 18, 44}, {64, 18, 48}, {49, 9, 512}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t pixels = shapes[i][0], taps = shapes[i][1], channels = shapes[i][2];
        char text[64];
        double s;
        snprintf(text, sizeof text, "pixels=%zu taps=%zu c=%zu", pixels, taps, channels);
        fill_taps(pixels, taps, channels);
        MEASURE(s, fn(buffers[0], channels, tap_list, pixels, taps, buffers[2], channels, channels));
        report_flops(name, text, bit, 2.0 * (double)(pixels * taps * channels), s);
    }
}

static void bench_maxpool_f32(isgk_maxpool_f32_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    fill_taps(64, 9, 64);
    MEASURE(s, fn(buffers[0], 64, tap_list, 64, 9, 64));
    report_bytes(name, "pixels=64 taps=9 c=64", 64 * 64 * 10 * 4.0, s);
}

static void bench_avgpool_f32(isgk_avgpool_f32_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    fill_taps(64, 9, 64);
    MEASURE(s, fn(buffers[0], 64, tap_list, 64, 9, 64, buffers[2]));
    report_bytes(name, "pixels=64 taps=9 c=64", 64 * 64 * 10 * 4.0, s);
}

static void bench_winograd_input_f32(isgk_winograd_input_f32_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    fill_taps(36, 1, 64);
    MEASURE(s, fn(buffers[0], 80, tap_list, 64));
    report_bytes(name, "c=64", 64 * 2 * 36 * 4.0, s);
}

static void bench_winograd_weights_f32(isgk_winograd_weights_f32_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    MEASURE(s, fn(buffers[0], 80, buffers[1], 64, 64));
    report_bytes(name, "c=64", 64 * (9 + 36) * 4.0, s);
}

static void bench_winograd_output_f32(isgk_winograd_output_f32_fn *fn, const char *name, uint32_t bit)
{
    const isgk_finish finish = {buffers[2], NULL, 0, 0.0f, 6.0f};
    double s;
    (void)bit;
    MEASURE(s, fn(buffers[0], 4 * 64, 64, buffers[1], 80, 4, 4, 64, &finish));
    report_bytes(name, "c=64", 64 * (16 + 36) * 4.0, s);
}

static void bench_rowsum_f32(isgk_rowsum_f32_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    MEASURE(s, fn(buffers[0], buffers[1], 512, 49, 512));
    report_bytes(name, "rows=49 c=512", 50 * 512 * 4.0, s);
}

static void bench_rowmax_f32(isgk_rowmax_f32_fn *fn, const char *name, uint32_t bit)
{
    bench_rowsum_f32(fn, name, bit);
}

static void bench_binary_f32(isgk_binary_f32_fn *fn, const char *name, uint32_t bit)
{
    static const char *const ops[] = {"n=8192 add", "n=8192 sub", "n=8192 mul", "n=8192 div"};
    (void)bit;
    for (int op = 0; op < 4; op++) {
        double s;
        MEASURE(s, fn(buffers[0], buffers[1], 1, buffers[2], 1, 8192, (isgk_binary_op)op));
        report_bytes(name, ops[op], 8192 * 12.0, s);
    }
}

static void bench_affine_f32(isgk_affine_f32_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    MEASURE(s, fn(buffers[0], 128, buffers[1], 128, buffers[2], buffers[3], 64, 128));
    report_bytes(name, "64 x 128", 64 * 128 * 8.0, s);
}

static void bench_softmax_f32(isgk_softmax_f32_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    MEASURE(s, fn(buffers[0], 1000, buffers[1], 1000, 4, 1000));
    report_bytes(name, "4 x 1000", 4 * 1000 * 8.0, s);
}

static void bench_transpose_f32(isgk_transpose_f32_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    MEASURE(s, fn(buffers[0], 64, buffers[1], 196, 64, 196));
    report_bytes(name, "64 x 196", 64 * 196 * 8.0, s);
}

static void bench_unpack_s8(isgk_unpack_s8_fn *fn, const char *name, uint32_t bit)
{
    (void)bit;
    for (uint32_t bits = 1; bits <= 8; bits++) {
        char text[64];
        double s;
        snprintf(text, sizeof text, "n=4096 bits=%u", bits);
        MEASURE(s, fn((int8_t *)buffers[0], (const uint8_t *)buffers[1], 4096, 4096, bits, -1));
        report_bytes(name, text, 4096 * (1.0 + bits / 8.0), s);
    }
}

static void bench_interleave_pairs_s8(isgk_interleave_pairs_s8_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    MEASURE(s, fn((int8_t *)buffers[0], (const int8_t *)buffers[1], 512, 4, 256));
    report_bytes(name, "4 x 2 x 256", 4 * 512 * 2.0, s);
}
static void bench_interleave_s8(isgk_interleave_s8_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    MEASURE(s, fn((int8_t *)buffers[0], (const int8_t *)buffers[1], 512, 4, 512));
    report_bytes(name, "4 x 512", 4 * 512 * 2.0, s);
}

static void bench_quantise_u8(isgk_quantise_u8_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    MEASURE(s, fn((uint8_t *)buffers[0], buffers[1], 8192, 100.0f, 128));
    report_bytes(name, "n=8192", 8192 * 5.0, s);
}

static void bench_requantise_u8(isgk_requantise_u8_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    MEASURE(s, fn((uint8_t *)buffers[0], 88, (const int32_t *)buffers[1], 88, 64, 88, buffers[2], 128.0f));
    report_bytes(name, "64 x 88", 64 * 88 * 5.0, s);
}

static void bench_dequantise_f32(isgk_dequantise_f32_fn *fn, const char *name, uint32_t bit)
{
    double s;
    (void)bit;
    MEASURE(s, fn(buffers[0], 128, (const int32_t *)buffers[1], 128, 64, 128, buffers[2], buffers[3], NULL));
    report_bytes(name, "64 x 128", 64 * 128 * 8.0, s);
}

static void bench_recode_u8(isgk_recode_u8_fn *fn, const char *name, uint32_t bit)
{
    const isgk_recode to = {buffers[2], buffers[3], 0.0f, 6.0f, 40.0f, 0};
    double s;
    (void)bit;
    MEASURE(s, fn((uint8_t *)buffers[0], 64, (const int32_t *)buffers[1], 64, 64, 64, &to));
    report_bytes(name, "64 x 64", 64 * 64 * 5.0, s);
}

static void bench_gemm_u8s8(isgk_gemm_u8s8_fn *fn, const char *name, uint32_t bit)
{
    static const size_t shapes[][3] = {{32, 88, 64}, {32, 88, 512}, {32, 128, 44}, {64, 256, 256}};
    static const isgk_codes codes[] = {{4, 1}, {16, 1}, {32, 1}, {128, 1}}; /* of 3, 5, 6 and 8 bits */
    (void)bit;
    for (size_t i = 0; i < 4 * (sizeof shapes / sizeof *shapes); i++) {
        const size_t *shape = shapes[i / 4], m = shape[0], n = shape[1], k = shape[2];
        char text[64];
        double s;
        snprintf(text, sizeof text, "m=%zu n=%zu k=%zu |b|<=%d", m, n, k, (int)codes[i % 4].most);
        MEASURE(s, fn((int32_t *)buffers[0], n, (const uint8_t *)buffers[1], k, (const int8_t *)buffers[2], n, m, n,
                      k / 4, (const int32_t *)buffers[3], &codes[i % 4]));
        report_ops(name, text, bit, 2.0 * (double)(m * n * k), s);
    }
}

static void bench_dwconv_u8s8(isgk_dwconv_u8s8_fn *fn, const char *name, uint32_t bit)
{
    static const size_t shapes[][3] = {{64, 5, 44}, {64, 3, 128}, {49, 3, 512}};
    static const isgk_codes codes = {4, 1};
    (void)bit;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t pixels = shapes[i][0], groups = shapes[i][1], channels = shapes[i][2];
        char text[64];
        double s;
        snprintf(text, sizeof text, "pixels=%zu taps=%zu c=%zu", pixels, 4 * groups, channels);
        fill_taps(1, 4 * groups, channels / 4);
        for (size_t b = 0; b < groups * (channels + 63) / 64 * 256; b++) /* as of three bits */
            ((int8_t *)buffers[2])[b] = (int8_t)(b % 8 - 4);
        MEASURE(s, fn((int32_t *)buffers[0], channels, (const uint8_t *const *)(const void *)tap_list, channels, pixels,
                      groups, (const int8_t *)buffers[2], channels, (const int32_t *)buffers[3], &codes));
        report_ops(name, text, bit, 2.0 * (double)(pixels * 4 * groups * channels), s);
    }
}

static void bench_dwpairs_u8s8(isgk_dwpairs_u8s8_fn *fn, const char *name, uint32_t bit)
{
    static const size_t shapes[][3] = {{32, 9, 44}, {8, 9, 44}, {32, 9, 96}};
    static const isgk_codes codes = {7, 0};
    (void)bit;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t pixels = shapes[i][0], taps = shapes[i][1], channels = shapes[i][2],
                     ldw = (2 * channels + 31) & ~31u;
        char text[64];
        double s;
        snprintf(text, sizeof text, "pixels=%zu taps=2x%zu c=%zu", pixels, taps, channels);
        fill_taps(1, taps, channels / 2);
        for (size_t b = 0; b < taps * ldw; b++) ((int8_t *)buffers[2])[b] = (int8_t)(b % 15 - 7); /* as of three bits */
        MEASURE(s, fn((int32_t *)buffers[0], channels, (const uint8_t *const *)(const void *)tap_list, 2 * channels,
                      pixels, taps, (const int8_t *)buffers[2], ldw, channels, (const int32_t *)buffers[3], &codes));
        report_ops(name, text, bit, 4.0 * (double)(pixels * taps * channels), s);
    }
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL;
    const uint32_t isa = isgi_cpu_isa();
    int known = !only;
#define ISGK_OP(op) known = known || strcmp(only, #op) == 0;
#define ISGK(op, name, bit)
#include "kernels/kernels.def"
    if (!known) {
        fprintf(stderr, "bench_kernels: error: no kernel '%s' (see src/kernels/kernels.def)\n", only);
        return 2;
    }
    for (int i = 0; i < 4; i++) {
        buffers[i] = aligned_alloc(64, buffer_floats * sizeof **buffers);
        if (!buffers[i]) return 1;
        for (size_t j = 0; j < buffer_floats; j++) buffers[i][j] = (float)(j % 17) * 0.0625f - 0.5f;
    }
    tap_list = malloc(4096 * sizeof *tap_list);
    if (!tap_list) return 1;
    measure_peaks();
#define ISGK(op, name, bit)                                                                                            \
    if ((isa & (uint32_t)(bit)) == (uint32_t)(bit) && (!only || strcmp(only, #op) == 0))                               \
        bench_##op(isgk_##op##__##name, #op "__" #name, (uint32_t)(bit));
#include "kernels/kernels.def"
    for (int i = 0; i < 4; i++) free(buffers[i]);
    free(tap_list);
    return 0;
}
