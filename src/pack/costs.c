/* SPDX-License-Identifier: Apache-2.0 */
/* Unit costs of the planner's cost model, measured on the kernels and the code that the runtime uses. */
#include <insitu/costs.h>
#include <insitu/host.h>
#include <insitu/memory.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cpu/cpu.h"
#include "host/alloc.h"
#include "kernels/kernels.h"
#include "rt/exec.h"
#include "rt/gen.h"

#define ROUNDS 5
#define SAMPLES 3
#define SAMPLE_NS 200000u    /* the clock sees it, and the scheduler rarely does */
#define FLOATS (1u << 18)    /* of one operand: more than any measurement reads */
#define CACHE_MAX (1u << 25) /* a system may tell of a cache that many cores or machines share */
#define MOST 1000000000.0    /* femtoseconds */

typedef struct cost_bench {
    isgk_table k;
    float *a, *b, *c;
    const uint8_t **taps;
} cost_bench;

typedef void cost_fn(const cost_bench *b, size_t m);

/* Nanoseconds of one call, the least of several samples: what else the machine does only ever adds. */
static double time_of(cost_fn *fn, const cost_bench *b, size_t m)
{
    double least = 1e30;
    uint32_t calls = 1;
    for (int s = 0; s < SAMPLES;) {
        const uint64_t start = isg_host_nanoseconds();
        uint64_t took;
        for (uint32_t i = 0; i < calls; i++) fn(b, m);
        took = isg_host_nanoseconds() - start;
        if (took < SAMPLE_NS && calls < 1u << 20) {
            calls *= 2;
            continue;
        }
        if ((double)took / calls < least) least = (double)took / calls;
        s++;
    }
    return least;
}

static uint32_t unit(double nanoseconds, double count)
{
    const double cost = nanoseconds / count * 1e6;
    return cost < 1.0 ? 1 : cost > MOST ? (uint32_t)MOST : (uint32_t)cost;
}

/* ---- what is timed ---- */

#define PANEL_M 64
#define PANEL_N 96
#define PANEL_K 64
static void run_panel(const cost_bench *b, size_t m)
{
    b->k.gemm_panels_f32(b->c, PANEL_N, b->a, PANEL_K, b->b, m, PANEL_N, PANEL_K, NULL, NULL, 0);
}

#define GEMM_MANY 192
#define GEMM_FEW 24
#define GEMM_N 256
#define GEMM_K 192
static void run_gemm(const cost_bench *b, size_t m)
{
    b->k.gemm_f32(b->c, GEMM_N, b->a, GEMM_K, b->b, GEMM_N, m, GEMM_N, GEMM_K, 0);
}

#define LIST 48
#define LISTS 2
#define COLUMNS 32
static void run_taps(const cost_bench *b, size_t pixels)
{
    const size_t pixel = LISTS * LIST;
    const float *const rows[3] = {b->a, b->a + (COLUMNS + 2) * pixel, b->a + 2 * (COLUMNS + 2) * pixel};
    const isgk_dwrow g = {rows, b->b, LIST, 3, 3, LISTS, COLUMNS + 2, pixel, LIST, 1, 1, 0};
    b->k.dwrow_f32(b->c, LIST, &g, pixels, LIST, NULL);
}

#define COMPOSE_CI 64
static void run_compose(const cost_bench *b, size_t rows)
{
    isg_weight w;
    memset(&w, 0, sizeof w);
    w.taps = 9;
    w.ci = COMPOSE_CI;
    w.co = w.bo = LIST;
    w.bi = LISTS;
    w.level1 = 1;
    isgi_gen_compose(&b->k, b->c, &w, b->a, b->b, NULL, 0, (uint32_t)rows, NULL);
}

#define GATHER_CHANNELS 32
static void run_gather(const cost_bench *b, size_t pixels)
{
    isgi_conv c;
    memset(&c, 0, sizeof c);
    c.ih = c.iw = c.oh = c.ow = 16;
    c.ic = GATHER_CHANNELS;
    c.groups = 1;
    c.taps = 9;
    c.window = (isgi_window){
        .kh = 3, .kw = 3, .sh = 1, .sw = 1, .dh = 1, .dw = 1, .top = 1, .left = 1, .bottom = 1, .right = 1};
    isgi_conv_gather(b->c, &c, b->a, 0, (uint32_t)pixels, 0, 0, 9 * GATHER_CHANNELS);
}

#define UNPACK_BITS 4
static void run_unpack(const cost_bench *b, size_t rows)
{
    b->k.unpack_columns(b->c, ISGK_PANEL, (const uint8_t *)b->a, FLOATS, 0, 3 * ISGK_PANEL * UNPACK_BITS, rows,
                        ISGK_PANEL, ISGK_PANEL, UNPACK_BITS, 1.0f, -8.0f, b->b);
}

/* As most networks' factors: of four bits. */
static const isgk_codes codes = {8, 1};

static void run_gemm_int8(const cost_bench *b, size_t m)
{
    b->k.gemm_u8s8((int32_t *)(void *)b->c, 128, (const uint8_t *)b->a, PANEL_K, (const int8_t *)b->b, 128, m, 128,
                   PANEL_K / 4, (const int32_t *)(const void *)b->b, &codes);
}

#define TAP_GROUPS 5
static void run_taps_int8(const cost_bench *b, size_t pixels)
{
    b->k.dwconv_u8s8((int32_t *)(void *)b->c, LIST, b->taps, LIST, pixels, TAP_GROUPS, (const int8_t *)b->b, LIST,
                     (const int32_t *)(const void *)b->b, &codes);
}

static void run_pass_int8(const cost_bench *b, size_t rows)
{
    b->k.requantise_u8((uint8_t *)b->c, 96, (const int32_t *)(const void *)b->a, 96, rows, 96, b->b, 128.0f);
}

/* ---- memory ---- */

static uint64_t cache_bytes(void)
{
    long bytes = 0;
#if defined(_SC_LEVEL3_CACHE_SIZE)
    bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    if (bytes <= 0) return (uint64_t)8 << 20;
    return bytes < CACHE_MAX ? (uint64_t)bytes : CACHE_MAX;
}

/* Reading once through more than the cache holds. */
static isg_status measure_stream(isg_rt_costs *costs, const cost_bench *b, isg_error *err)
{
    const size_t row = 1024;
    const uint64_t bytes = 2 * cache_bytes();
    uint64_t least = UINT64_MAX;
    float *big = isgi_malloc((size_t)bytes);
    if (!big) return isgi_nomem(err);
    memset(big, 0, (size_t)bytes);
    for (int i = 0; i < 3; i++) {
        const uint64_t start = isg_host_nanoseconds();
        uint64_t took;
        b->k.rowsum_f32(b->c, big, row, (size_t)bytes / (row * sizeof *big), row);
        took = isg_host_nanoseconds() - start;
        if (took < least) least = took;
    }
    isg_free(big);
    costs->stream = unit((double)least, (double)bytes);
    costs->cache = (uint32_t)(cache_bytes() / 1024);
    return ISG_OK;
}

/* What is timed, in the order of `times` below. */
enum { T_MANY, T_FEW, T_PANEL, T_TAPS, T_COMPOSE, T_GATHER, T_UNPACK, T_GEMM_INT8, T_TAPS_INT8, T_PASS_INT8, T_COUNT };

static const struct {
    cost_fn *fn;
    size_t m;
} timed[T_COUNT] = {{run_gemm, GEMM_MANY},         {run_gemm, GEMM_FEW}, {run_panel, PANEL_M}, {run_taps, COLUMNS},
                    {run_compose, 9 * COMPOSE_CI}, {run_gather, 128},    {run_unpack, 256},    {run_gemm_int8, 32},
                    {run_taps_int8, 32},           {run_pass_int8, 32}};

/* Several rounds over all: a clock that is slow for a while then spoils no ratio. */
static void measure_kernels(isg_rt_costs *costs, const cost_bench *b)
{
    const double weights = (double)GEMM_N * GEMM_K;
    double t[T_COUNT], each;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < T_COUNT; i++) {
            const double took = time_of(timed[i].fn, b, timed[i].m);
            if (round == 0 || took < t[i]) t[i] = took;
        }
    }
    each = (t[T_MANY] - t[T_FEW]) / ((GEMM_MANY - GEMM_FEW) * weights);
    costs->gemm = unit(each, 1.0);
    costs->weight = unit(t[T_FEW] - GEMM_FEW * weights * each, weights);
    costs->panel = unit(t[T_PANEL], (double)PANEL_M * PANEL_N * PANEL_K);
    costs->taps = unit(t[T_TAPS], (double)COLUMNS * 9 * LISTS * LIST);
    costs->compose = unit(t[T_COMPOSE], 9.0 * COMPOSE_CI * LISTS * LIST);
    costs->gather = unit(t[T_GATHER], 128.0 * 9 * GATHER_CHANNELS);
    costs->unpack = unit(t[T_UNPACK], 256.0 * ISGK_PANEL);
    costs->gemm_int8 = unit(t[T_GEMM_INT8], 32.0 * 128 * PANEL_K);
    costs->taps_int8 = unit(t[T_TAPS_INT8], 32.0 * 4 * TAP_GROUPS * LIST);
    costs->pass_int8 = unit(t[T_PASS_INT8], 32.0 * 96);
}

isg_status isg_costs_measure(isg_rt_costs *costs, uint32_t isa_mask, isg_error *err)
{
    cost_bench b;
    isg_status status = ISG_OK;
    memset(costs, 0, sizeof *costs);
    costs->struct_size = sizeof *costs;
    isgk_table_init(&b.k, isgi_cpu_effective_isa(isa_mask));
    b.a = isgi_calloc(FLOATS, sizeof(float));
    b.b = isgi_calloc(FLOATS, sizeof(float));
    b.c = isgi_calloc(FLOATS, sizeof(float));
    b.taps = isgi_malloc((size_t)4 * TAP_GROUPS * sizeof *b.taps);
    if (!b.a || !b.b || !b.c || !b.taps) {
        status = isgi_nomem(err);
    } else {
        for (size_t i = 0; i < 4 * TAP_GROUPS; i++) b.taps[i] = (const uint8_t *)b.a + i * LIST;
        measure_kernels(costs, &b);
        status = measure_stream(costs, &b, err);
    }
    isg_free(b.a);
    isg_free(b.b);
    isg_free(b.c);
    isg_free((void *)b.taps);
    return status;
}
