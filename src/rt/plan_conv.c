/* SPDX-License-Identifier: Apache-2.0 */
/* How a convolution is run: the cheapest of the three ways, its tiles and its scratch. */
#include "rt/exec.h"

#include <string.h>

#define TILE_FLOATS 65536u   /* of the weight matrix: half of a usual L2 */
#define TILE_ROWS 288u       /* 3 x 3 x 32 */
#define GATHER_FLOATS 49152u /* of gathered input pixels */
#define HALF_FLOATS 131072u  /* of intermediate channels in the HALF way */
#define STRIP_STEP 24u       /* a multiple of every micro-kernel's height */
#define STRIP_MAX 192u

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

static void set_geometry(isgi_conv *c, const isgi_op *op, const isg_weight *w, const isgi_shape *x,
                         const isgi_shape *out)
{
    const isgi_window *g = &c->window;
    memset(c, 0, sizeof *c);
    c->batch = x->dims[0];
    c->ic = x->dims[1];
    c->oc = out->dims[1];
    c->groups = op->kind == ISG_KIND_CONV ? op->groups : 1;
    c->ih = x->rank == 4 ? x->dims[2] : 1;
    c->iw = x->rank == 4 ? x->dims[3] : 1;
    c->oh = x->rank == 4 ? out->dims[2] : 1;
    c->ow = x->rank == 4 ? out->dims[3] : 1;
    c->window = op->window;
    if (op->kind == ISG_KIND_FC) c->window = (isgi_window){1, 1, 1, 1, 1, 1, 0, 0, 0, 0};
    c->taps = w->taps;
    c->depthwise = c->groups == c->ic && c->ic == c->oc && c->ic > 1;
    c->direct = c->taps == 1 && g->sh == 1 && g->sw == 1 && c->oh == c->ih && c->ow == c->iw && !g->top && !g->left &&
                c->groups == 1;
    c->in_place = isgi_raw_f32(w) && ((uintptr_t)w->basis.data & 3u) == 0;
    c->k = c->taps * (c->ic / c->groups);
}

/* Output rows a task of the FACTORED way handles so that its tile of bi*bo channels stays in the cache. */
static void set_factored_tiles(isgi_conv *c, const isg_weight *w, uint32_t workers)
{
    const uint64_t row = (uint64_t)c->iw * w->bi * w->bo, image = row * c->ih;
    const uint64_t reach = (uint64_t)(c->window.kh - 1) * c->window.dh + 1;
    c->images = 1;
    c->rows = c->oh;
    if (image <= TILE_FLOATS) {
        c->images = (uint32_t)min_u64(ceil_div(c->batch, workers), TILE_FLOATS / image);
    } else {
        const uint64_t fit = TILE_FLOATS / row;
        c->rows = fit > reach ? (uint32_t)((fit - reach) / c->window.sh + 1) : 1;
    }
    if (c->batch < workers) {
        const uint32_t share = (uint32_t)ceil_div((uint64_t)c->oh * c->batch, workers);
        if (c->rows > share) c->rows = share > 4 ? share : 4;
    }
    if (c->rows > c->oh) c->rows = c->oh;
    c->rows = (uint32_t)ceil_div(c->oh, ceil_div(c->oh, c->rows)); /* strips of one size */
    if (c->rows < c->oh) c->images = 1;
}

static uint64_t factored_input_rows(const isgi_conv *c, uint32_t rows)
{
    if (rows == c->oh) return c->ih; /* whole images, which then follow each other */
    return min_u64(c->ih, (uint64_t)(rows - 1) * c->window.sh + (uint64_t)(c->window.kh - 1) * c->window.dh + 1);
}

/* Multiply-adds of one way. */
static uint64_t way_macs(const isgi_conv *c, const isg_weight *w, uint32_t way)
{
    const uint64_t pixels = (uint64_t)c->batch * c->oh * c->ow, dense = pixels * c->k * (c->oc / c->groups);
    const uint64_t rows = (uint64_t)w->taps * w->ci, bibo = (uint64_t)w->bi * w->bo;
    const uint64_t level1 = w->level1 ? rows * bibo : 0, level2 = w->level2 ? rows * w->bo * w->co : 0;
    if (way == ISG_STRATEGY_HALF)
        return level1 * ceil_div(pixels, HALF_FLOATS / w->bo + 1) + pixels * w->bo * ((uint64_t)c->k + c->oc);
    if (way == ISG_STRATEGY_FACTORED) {
        const uint64_t input = c->batch * ceil_div(c->oh, c->rows) * factored_input_rows(c, c->rows) * c->iw;
        return input * c->ic * bibo + pixels * c->taps * bibo + (w->level2 ? pixels * w->bo * c->oc : 0);
    }
    return dense + level1 + level2;
}

/* What way_macs() costs, in multiply-adds of a matrix product: the depthwise sum and level 1 are bound by loads (three
 * times as much, measured), and a gathered number costs about two. */
static uint64_t way_cost(const isgi_conv *c, const isg_weight *w, uint32_t way)
{
    const uint64_t pixels = (uint64_t)c->batch * c->oh * c->ow, bibo = (uint64_t)w->bi * w->bo;
    uint64_t cost = way_macs(c, w, way);
    if (way == ISG_STRATEGY_FACTORED) return cost + 2 * pixels * c->taps * bibo;
    if (w->level1) cost += 2 * (uint64_t)w->taps * w->ci * bibo;
    return c->direct ? cost : cost + 2 * pixels * c->k;
}

static void choose_way(isgi_conv *c, const isg_weight *w, uint32_t workers, uint32_t forced)
{
    static const uint8_t ways[] = {ISG_STRATEGY_GENERATE, ISG_STRATEGY_HALF, ISG_STRATEGY_FACTORED};
    uint64_t best = UINT64_MAX;
    c->strategy =
        w->basis.family == ISG_QUANT_RAW && !w->level1 && !w->level2 ? ISG_STRATEGY_DENSE : ISG_STRATEGY_GENERATE;
    if (c->groups == 1 && !w->depthwise && (w->level1 || w->level2)) {
        if (w->level1) set_factored_tiles(c, w, workers);
        for (size_t i = 0; i < sizeof ways; i++) {
            const int possible =
                ways[i] == ISG_STRATEGY_GENERATE || (ways[i] == ISG_STRATEGY_HALF ? w->level2 : w->level1);
            const uint64_t cost = possible ? way_cost(c, w, ways[i]) : UINT64_MAX;
            if (!possible) continue;
            if (ways[i] == forced) {
                c->strategy = ways[i];
                break;
            }
            if (cost < best) {
                best = cost;
                c->strategy = ways[i];
            }
        }
    }
    c->macs = way_macs(c, w, c->strategy);
    c->dense_macs = (uint64_t)c->batch * c->oh * c->ow * c->k * (c->oc / c->groups);
}

static void set_matrix_tiles(isgi_conv *c, const isg_weight *w, uint32_t workers)
{
    const uint64_t pixels = (uint64_t)c->batch * c->oh * c->ow;
    uint64_t rows, strips;
    c->width = c->strategy == ISG_STRATEGY_HALF ? w->bo : c->oc;
    rows = TILE_FLOATS / c->width;
    if (rows < 16) rows = 16;
    if (rows > TILE_ROWS) rows = TILE_ROWS;
    c->tile_rows = (uint32_t)min_u64(rows, c->k);
    c->strip = GATHER_FLOATS / c->tile_rows / STRIP_STEP * STRIP_STEP;
    if (c->strip > STRIP_MAX) c->strip = STRIP_MAX;
    if (c->strip < STRIP_STEP) c->strip = STRIP_STEP;
    c->span = pixels;
    if (c->strategy == ISG_STRATEGY_HALF) {
        c->span = HALF_FLOATS / w->bo + 1;
        c->span = ceil_div(c->span, c->strip) * c->strip;
        if (c->span > pixels) c->span = pixels;
    }
    /* Enough tasks for everybody: shorter strips first, then blocks of channels. */
    while (c->strip > 2 * STRIP_STEP && ceil_div(c->span, c->strip) < workers) c->strip -= STRIP_STEP;
    strips = ceil_div(c->span, c->strip);
    c->blocks = 1;
    if (strips < workers && c->groups == 1) {
        const uint64_t most = ceil_div(c->width, 64);
        c->blocks = (uint32_t)min_u64(ceil_div(workers, strips), most);
    }
}

static size_t place(uint64_t *at, uint64_t floats)
{
    const uint64_t offset = *at;
    *at += (floats + 15u) & ~(uint64_t)15u;
    return (size_t)offset;
}

static void set_scratch(isgi_conv *c, const isg_weight *w, const isg_weight *bias, uint32_t workers)
{
    uint64_t at = 0, part = 0;
    const uint64_t bibo = (uint64_t)w->bi * w->bo, pointer = sizeof(void *) / sizeof(float);
    const int factored = c->strategy == ISG_STRATEGY_FACTORED;
    if (bias && !isgi_raw_f32(bias)) c->bias = place(&at, c->oc);
    if (w->level1) c->basis = place(&at, (uint64_t)w->basis.rows * w->basis.cols);
    if (w->level1) c->u = place(&at, (uint64_t)w->u.rows * w->u.cols);
    if (w->level2) c->v = place(&at, (uint64_t)w->v.rows * w->v.cols);
    if (c->depthwise) {
        if (!c->in_place) c->tile = place(&at, (uint64_t)c->taps * c->oc);
        if (w->level2) c->rows_tmp = place(&at, (uint64_t)c->taps * w->bo);
        c->zeros = place(&at, c->oc);
        c->at_taps = place(&part, ISGI_PIXELS * (uint64_t)c->taps * pointer);
    } else if (factored) {
        c->zeros = place(&at, w->bo);
        c->at_mid = place(&part, factored_input_rows(c, c->rows) * c->iw * bibo * c->images);
        c->at_taps = place(&part, ISGI_PIXELS * (uint64_t)c->taps * w->bi * pointer);
        c->at_gather = place(&part, w->level2 ? ISGI_PIXELS * (uint64_t)w->bo : 0);
    } else {
        if (!c->in_place) c->tile = place(&at, (uint64_t)c->tile_rows * c->width);
        if (c->strategy == ISG_STRATEGY_GENERATE && w->level2) c->rows_tmp = place(&at, (uint64_t)c->tile_rows * w->bo);
        if (c->strategy == ISG_STRATEGY_HALF) c->half = place(&at, c->span * w->bo);
        if (!c->direct) c->at_gather = place(&part, (uint64_t)c->strip * c->tile_rows);
    }
    c->worker = (size_t)at;
    c->worker_floats = (size_t)part;
    c->scratch = part > (uint64_t)1 << 40 ? UINT64_MAX : at + part * workers; /* workers are at most 1024 */
}

void isgi_conv_plan(isgi_conv *c, const isgi_op *op, const isg_weight *w, const isgi_shape *x, const isgi_shape *out,
                    const isg_weight *bias, uint32_t workers, uint32_t forced)
{
    set_geometry(c, op, w, x, out);
    choose_way(c, w, workers, forced);
    if (!c->depthwise && c->strategy != ISG_STRATEGY_FACTORED) set_matrix_tiles(c, w, workers);
    set_scratch(c, w, bias, workers);
}
