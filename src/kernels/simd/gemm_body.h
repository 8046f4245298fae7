/* SPDX-License-Identifier: Apache-2.0 */
/* Body of gemm_f32 for any vector (vec_ISA.h): register tiles over panels of B.
 *
 * A tile holds rows x vectors of C in registers and runs over a block of k; between blocks C goes through memory, which
 * loses nothing, so every element is one chain of fused multiply-adds over k whatever the blocking.
 * Panels of B are copied to the stack when many rows use them, or when the columns end inside a vector (zero-padded
 * there, so that only C needs masks). */
#include "kernels/kernels.h"
#include "kernels/simd/unroll.h"

#define GEMM_K_BLOCK 128u /* k x panel of B stays in L1, beside the rows of A */
#define GEMM_M_BLOCK 240u /* rows x k of A stay in L2 while the panels pass */
#define GEMM_PANEL (2u * VF_LANES)
/* Where 2 x 6 registers of sums fill the file, three vectors of four rows fill it as well. */
#define VF_GEMM_THREE (VF_GEMM_ROWS < 8 ? 4u : 0u)
#define GEMM_SUMS (VF_GEMM_THREE ? 3u * VF_LANES : GEMM_PANEL)
#define GEMM_PANEL_ROWS 96u                 /* whose partial sums of a deep panel lie in a buffer */
#define GEMM_PANEL_DEPTH (2048u / VF_LANES) /* k of a block of a panel: 16 kB */
#define GEMM_ROW_DEPTH 8u                   /* rows of B read side by side */
#define GEMM_PACK_AHEAD 48u                 /* rows of B asked for in advance by a copy */
/* A tile of one vector is bound by the latency of its few sums unless it has more rows. */
#define VF_GEMM_HIGH (VF_GEMM_ROWS < 12 ? 12 : VF_GEMM_ROWS)
#define GEMM_INLINE static inline __attribute__((always_inline))

typedef struct gemm_tile {
    float *c;
    const float *a, *b;
    size_t ldc, lda, ldb, k;
    size_t last;       /* columns in the last vector */
    const float *from; /* what the sums start from, rows ldf apart: C or partial sums; NULL: zero */
    size_t ldf;
    const isgk_finish *finish;
    const float *bias, *residual; /* of `finish`, at the tile's first element */
    isgk_runs runs;               /* of the rows of A */
} gemm_tile;

/* The last steps on a tile in registers. */
#define GEMM_FINISH(rows, vectors)                                                                                     \
    do {                                                                                                               \
        const isgk_finish *f_ = tile->finish;                                                                          \
        const vf lo_ = vf_set1(f_->lo), hi_ = vf_set1(f_->hi);                                                         \
        ISGI_UNROLL                                                                                                    \
        for (int v = 0; v < (vectors); v++) {                                                                          \
            const vf_mask mask_ = vf_first(v + 1 < (vectors) ? VF_LANES : tile->last);                                 \
            const size_t at_ = (size_t)v * VF_LANES;                                                                   \
            const vf bias_ = tile->bias ? vf_load_some(tile->bias + at_, mask_) : vf_set1(-0.0f);                      \
            ISGI_UNROLL                                                                                                \
            for (int i = 0; i < (rows); i++) acc[i][v] = vf_add(acc[i][v], bias_);                                     \
            if (tile->residual) {                                                                                      \
                ISGI_UNROLL                                                                                            \
                for (int i = 0; i < (rows); i++) {                                                                     \
                    const float *r_ = tile->residual + (size_t)i * f_->ldr + at_;                                      \
                    acc[i][v] = vf_add(acc[i][v], vf_load_some(r_, mask_));                                            \
                }                                                                                                      \
            }                                                                                                          \
            ISGI_UNROLL                                                                                                \
            for (int i = 0; i < (rows); i++) acc[i][v] = vf_min(hi_, vf_max(lo_, acc[i][v]));                          \
        }                                                                                                              \
    } while (0)

/* The tile `rows` rows further down. */
static __attribute__((noinline)) void gemm_tile_below(gemm_tile *tile, size_t rows)
{
    tile->a += rows * tile->lda;
    tile->c += rows * tile->ldc;
    if (tile->from) tile->from += rows * tile->ldf;
    if (tile->residual) tile->residual += rows * tile->finish->ldr;
}

GEMM_INLINE void gemm_tile_body(const gemm_tile *tile, const int rows, const int vectors)
{
    const float *a = tile->a, *b = tile->b;
    float *const origin = tile->c; /* vector stores may alias the tile: read it before */
    const int accumulate = tile->from != NULL;
    const float *const start = accumulate ? tile->from : origin;
    const size_t lda = tile->lda, ldb = tile->ldb, ldc = tile->ldc, k = tile->k;
    const size_t run = tile->runs.run, step = tile->runs.step;
    const size_t ldf = accumulate ? tile->ldf : ldc;
    /* Where masks are cheap, an empty one begins at zero without a second path. */
    const vf_mask load_all = vf_first(accumulate ? VF_LANES : 0);
    const vf_mask load_last = vf_first(accumulate ? tile->last : 0), store_last = vf_first(tile->last);
    const int whole = !VF_CHEAP_MASKS && tile->last == VF_LANES;
    vf acc[VF_GEMM_HIGH][4];

    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++) {
            const float *c = start + (size_t)i * ldf + (size_t)v * VF_LANES;
            if (VF_CHEAP_MASKS) {
                acc[i][v] = vf_load_some(c, v + 1 < vectors ? load_all : load_last);
            } else if (!accumulate) {
                acc[i][v] = vf_set1(0.0f);
            } else {
                acc[i][v] = v + 1 < vectors || whole ? vf_load(c) : vf_load_some(c, load_last);
            }
        }
    }
    for (size_t left = k; left; left -= run, a += step) {
        for (size_t p = 0; p < run; p++, b += ldb) {
            vf w[4];
            ISGI_UNROLL
            for (int v = 0; v < vectors; v++) w[v] = vf_load(b + (size_t)v * VF_LANES);
            ISGI_UNROLL
            for (int i = 0; i < rows; i++) {
                const vf x = vf_set1(a[(size_t)i * lda + p]);
                ISGI_UNROLL
                for (int v = 0; v < vectors; v++) acc[i][v] = vf_fma(x, w[v], acc[i][v]);
            }
        }
    }
    if (vectors <= 3 && tile->finish) GEMM_FINISH(rows, vectors);
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++) {
            float *c = origin + (size_t)i * ldc + (size_t)v * VF_LANES;
            if (v + 1 < vectors || whole) {
                vf_store(c, acc[i][v]);
            } else {
                vf_store_some(c, store_last, acc[i][v]);
            }
        }
    }
}

#define GEMM_TILE(rows, vectors)                                                                                       \
    static __attribute__((noinline)) void gemm_tile_##rows##x##vectors(gemm_tile *tile, size_t count)                  \
    {                                                                                                                  \
        do {                                                                                                           \
            gemm_tile_body(tile, rows, vectors);                                                                       \
            gemm_tile_below(tile, rows);                                                                               \
        } while (--count);                                                                                             \
    }
#define GEMM_TILES(rows) GEMM_TILE(rows, 1) GEMM_TILE(rows, 2)
GEMM_TILES(1)
GEMM_TILES(2)
GEMM_TILES(3)
GEMM_TILES(4)
GEMM_TILES(5)
GEMM_TILES(6)
GEMM_TILE(1, 4)
GEMM_TILE(2, 4)
#if VF_GEMM_ROWS >= 8
GEMM_TILES(7)
GEMM_TILES(8)
GEMM_TILE(3, 4)
GEMM_TILE(4, 4)
#endif
#if VF_GEMM_ROWS < 8
GEMM_TILE(7, 1)
GEMM_TILE(8, 1)
GEMM_TILE(1, 3)
GEMM_TILE(2, 3)
GEMM_TILE(3, 3)
GEMM_TILE(4, 3)
#endif
#if VF_GEMM_ROWS < 12
GEMM_TILE(9, 1)
GEMM_TILE(10, 1)
GEMM_TILE(11, 1)
GEMM_TILE(12, 1)
#endif
#if VF_GEMM_ROWS >= 12
GEMM_TILES(9)
GEMM_TILES(10)
GEMM_TILES(11)
GEMM_TILES(12)
GEMM_TILE(5, 4)
GEMM_TILE(6, 4)
#endif

/* `count` (at least one) tiles below each other; leaves `tile` behind them. */
static void gemm_run_tiles(gemm_tile *tile, size_t count, size_t rows, size_t vectors)
{
#define GEMM_CASE(r, v)                                                                                                \
    case (r)*8 + (v):                                                                                                  \
        gemm_tile_##r##x##v(tile, count);                                                                              \
        break;
#define GEMM_CASES(r) GEMM_CASE(r, 1) GEMM_CASE(r, 2)
    switch (rows * 8 + vectors) {
        GEMM_CASES(1)
        GEMM_CASES(2)
        GEMM_CASES(3)
        GEMM_CASES(4)
        GEMM_CASES(5)
        GEMM_CASES(6)
        GEMM_CASE(1, 4)
        GEMM_CASE(2, 4)
#if VF_GEMM_ROWS >= 8
        GEMM_CASES(7)
        GEMM_CASES(8)
        GEMM_CASE(3, 4)
        GEMM_CASE(4, 4)
#endif
#if VF_GEMM_ROWS < 8
        GEMM_CASE(7, 1)
        GEMM_CASE(8, 1)
        GEMM_CASE(1, 3)
        GEMM_CASE(2, 3)
        GEMM_CASE(3, 3)
        GEMM_CASE(4, 3)
#endif
#if VF_GEMM_ROWS < 12
        GEMM_CASE(9, 1)
        GEMM_CASE(10, 1)
        GEMM_CASE(11, 1)
        GEMM_CASE(12, 1)
#endif
#if VF_GEMM_ROWS >= 12
        GEMM_CASES(9)
        GEMM_CASES(10)
        GEMM_CASES(11)
        GEMM_CASES(12)
        GEMM_CASE(5, 4)
        GEMM_CASE(6, 4)
#endif
    default: break;
    }
}

/* Copies k rows of `columns` floats to rows of GEMM_PANEL floats, zeros behind. */
static void gemm_pack(float *panel, const float *b, size_t ldb, size_t k, size_t columns)
{
    const size_t first = columns < VF_LANES ? columns : VF_LANES;
    const vf_mask m0 = vf_first(first), m1 = vf_first(columns - first);
    for (size_t p = 0; p < k; p++, b += ldb, panel += GEMM_PANEL) {
        vf_prefetch(b + GEMM_PACK_AHEAD * ldb);
        vf_prefetch(b + GEMM_PACK_AHEAD * ldb + VF_LANES);
        vf_store(panel, vf_load_some(b, m0));
        /* Without a second vector the pointer must not leave the row. */
        vf_store(panel + VF_LANES, columns > first ? vf_load_some(b + VF_LANES, m1) : vf_set1(0.0f));
    }
}

/* One panel: `m` rows in tiles of about equal height, at most `most` rows; the taller ones first. */
static void gemm_panel(gemm_tile tile, size_t m, size_t most, size_t vectors)
{
    const size_t tiles = (m + most - 1) / most, height = m / tiles, taller = m % tiles;
    if (taller) gemm_run_tiles(&tile, taller, height + 1, vectors);
    gemm_run_tiles(&tile, tiles - taller, height, vectors);
}

static void gemm_block(gemm_tile tile, size_t m, size_t n)
{
    float panel[GEMM_K_BLOCK * GEMM_PANEL] __attribute__((aligned(64)));
    size_t j = 0;
    if (m <= 3 * VF_GEMM_FLAT) {
        for (; n - j >= 4 * VF_LANES; j += 4 * VF_LANES) {
            gemm_tile flat = tile;
            flat.b += j;
            flat.c += j;
            if (flat.from) flat.from += j;
            flat.last = VF_LANES;
            gemm_panel(flat, m, VF_GEMM_FLAT, 4);
        }
    }
    while (j < n) {
        const size_t columns = n - j < GEMM_PANEL ? n - j : GEMM_PANEL;
        const size_t vectors = (columns + VF_LANES - 1) / VF_LANES;
        gemm_tile slice = tile;
        slice.b += j;
        slice.c += j;
        if (slice.from) slice.from += j;
        slice.last = columns - (vectors - 1) * VF_LANES;
        if (slice.last != VF_LANES || m > VF_GEMM_ROWS) {
            gemm_pack(panel, slice.b, slice.ldb, slice.k, columns);
            slice.b = panel;
            slice.ldb = GEMM_PANEL;
        }
        gemm_panel(slice, m, vectors == 1 ? VF_GEMM_HIGH : VF_GEMM_ROWS, vectors);
        j += columns;
    }
}

/* C[1][n] with the rows of B in the order of memory: some rows at a time, for C is read and written once for them. */
static void gemm_row(float *c, const float *a, const float *b, size_t ldb, size_t n, size_t k, int accumulate)
{
    for (size_t p = 0; p < k; p += GEMM_ROW_DEPTH, a += GEMM_ROW_DEPTH, b += GEMM_ROW_DEPTH * ldb) {
        const size_t depth = k - p < GEMM_ROW_DEPTH ? k - p : GEMM_ROW_DEPTH;
        for (size_t j = 0; j < n; j += VF_LANES) {
            const vf_mask mask = vf_first(n - j < VF_LANES ? n - j : VF_LANES);
            const int whole = n - j >= VF_LANES;
            vf sum = vf_set1(0.0f);
            if (accumulate || p) sum = whole ? vf_load(c + j) : vf_load_some(c + j, mask);
            for (size_t i = 0; i < depth; i++) {
                const float *from = b + i * ldb + j;
                vf_prefetch(from + GEMM_ROW_DEPTH * ldb);
                sum = vf_fma(vf_set1(a[i]), whole ? vf_load(from) : vf_load_some(from, mask), sum);
            }
            if (whole)
                vf_store(c + j, sum);
            else
                vf_store_some(c + j, mask, sum);
        }
    }
}

void VF_KERNEL(gemm_f32)(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb, size_t m,
                         size_t n, size_t k, int accumulate)
{
    size_t p = 0;
    if (m == 1 && k > 0) {
        gemm_row(c, a, b, ldb, n, k, accumulate);
        return;
    }
    do { /* once even if k is 0: C may have to be cleared */
        const size_t depth = k - p < GEMM_K_BLOCK ? k - p : GEMM_K_BLOCK;
        for (size_t i = 0; i < m; i += GEMM_M_BLOCK) {
            const size_t rows = m - i < GEMM_M_BLOCK ? m - i : GEMM_M_BLOCK;
            float *const at = c + i * ldc;
            const float *const from = accumulate || p ? at : NULL;
            const gemm_tile tile = {.c = at,
                                    .a = a + i * lda + p,
                                    .b = b + p * ldb,
                                    .ldc = ldc,
                                    .lda = lda,
                                    .ldb = ldb,
                                    .k = depth,
                                    .from = from,
                                    .ldf = ldc,
                                    .runs = {depth, 0}};
            gemm_block(tile, rows, n);
        }
        p += depth;
    } while (p < k);
}

/* Most rows of a tile. */
static inline size_t gemm_height(size_t vectors)
{
    return vectors == 1 ? VF_GEMM_HIGH : vectors == 3 ? VF_GEMM_THREE : VF_GEMM_ROWS;
}

/* Columns of the next tile where `left` columns begin at `at` of a panel. */
static inline size_t gemm_width(size_t at, size_t left)
{
    if (VF_GEMM_THREE && at == 0 && left > GEMM_PANEL && left <= 3 * VF_LANES) return left;
    return left < GEMM_PANEL ? left : GEMM_PANEL;
}

/* Rows of one deep panel, cut into blocks that stay in L1 while the rows pass; partial sums go through a buffer, for C
 * may still hold the residual. */
static void gemm_deep_panel(gemm_tile tile, size_t m, size_t vectors, const isgk_finish *finish)
{
    float sums[GEMM_PANEL_ROWS * GEMM_SUMS] __attribute__((aligned(64)));
    const size_t most = gemm_height(vectors), k = tile.k;
    const size_t blocks = (k + GEMM_PANEL_DEPTH - 1) / GEMM_PANEL_DEPTH, step = (k + blocks - 1) / blocks;
    for (size_t block = 0; block < blocks; block++) {
        const size_t p = block * step;
        gemm_tile part = tile;
        part.a += p;
        part.b += p * ISGK_PANEL;
        part.k = part.runs.run = k - p < step ? k - p : step;
        if (block > 0) part.from = sums;
        part.ldf = GEMM_SUMS;
        if (block + 1 < blocks) {
            part.c = sums;
            part.ldc = GEMM_SUMS;
            part.last = VF_LANES; /* panels are padded, and so is the buffer */
            part.bias = part.residual = NULL;
            part.finish = NULL;
        } else {
            part.finish = finish;
        }
        gemm_panel(part, m, most, vectors);
    }
}

/* Some rows of all panels. */
static inline __attribute__((always_inline)) void gemm_panels_rows(float *c, size_t ldc, const float *a, size_t lda,
                                                                   const float *panels, size_t m, size_t n, size_t k,
                                                                   const isgk_finish *finish, const isgk_runs *runs,
                                                                   const int goes_on, const int deep)
{
    const isgk_runs whole = {k, 0};
    for (size_t j = 0, columns; j < n; j += columns) {
        const size_t vectors = ((columns = gemm_width(j % ISGK_PANEL, n - j)) + VF_LANES - 1) / VF_LANES;
        gemm_tile tile = {.c = c + j, .a = a, .ldc = ldc, .lda = lda, .ldb = ISGK_PANEL, .k = k, .finish = finish};
        tile.b = panels + j / ISGK_PANEL * ISGK_PANEL * k + j % ISGK_PANEL;
        tile.last = columns - (vectors - 1) * VF_LANES;
        tile.runs = runs ? *runs : whole;
        if (finish && finish->bias) tile.bias = finish->bias + j;
        if (finish && finish->residual) tile.residual = finish->residual + j;
        if (goes_on) {
            tile.from = tile.c;
            tile.ldf = ldc;
        }
        if (deep)
            gemm_deep_panel(tile, m, vectors, finish);
        else
            gemm_panel(tile, m, gemm_height(vectors), vectors);
    }
}

void VF_KERNEL(gemm_panels_f32)(float *c, size_t ldc, const float *a, size_t lda, const float *panels, size_t m,
                                size_t n, size_t k, const isgk_finish *finish, const isgk_runs *runs, int goes_on)
{
    const size_t parts = (m + GEMM_PANEL_ROWS - 1) / GEMM_PANEL_ROWS, most = parts ? (m + parts - 1) / parts : 0;
    isgk_finish here;
    if (!m) return;
    /* A panel of 32 kB still streams from L2 as fast as it is used; few rows read one only a few times. */
    if (k <= 2 * GEMM_PANEL_DEPTH || m <= 4 * VF_GEMM_ROWS || runs || goes_on) {
        gemm_panels_rows(c, ldc, a, lda, panels, m, n, k, finish, runs, goes_on, 0);
        return;
    }
    if (finish) here = *finish;
    for (size_t i = 0; i < m; i += most) {
        const size_t rows = m - i < most ? m - i : most;
        gemm_panels_rows(c + i * ldc, ldc, a + i * lda, lda, panels, rows, n, k, finish ? &here : NULL, NULL, 0, 1);
        if (finish && here.residual) here.residual += rows * here.ldr;
    }
}
